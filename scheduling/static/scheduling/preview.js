// Shows the next runs of the schedule that is being typed, and of the schedule's fields those that matter to the chosen
// kind. Without it the page shows the next runs of the saved schedule, and all fields.
document.addEventListener("DOMContentLoaded", function () {
  "use strict";
  const place = document.querySelector("[data-schedule-preview]");
  const form = document.getElementById("job_form");
  if (!place || !form || !form.elements.namedItem("trigger")) return;
  const names = ["trigger", "cron", "interval", "anchor_0", "anchor_1", "run_at_0", "run_at_1", "timezone", "in_zone"];
  const fields = { cron: ["cron"], interval: ["interval", "anchor"], once: ["run_at"] };
  let timer = 0;
  let asked = 0;

  function showFields() {
    const chosen = form.elements.namedItem("trigger").value;
    for (const [kind, names] of Object.entries(fields)) {
      for (const name of names) {
        const row = form.querySelector(`.field-${name}`);
        // What is wrong in a field must be seen, whatever kind is chosen by now.
        if (row) row.hidden = kind !== chosen && !row.querySelector(".errorlist");
      }
    }
  }

  async function show() {
    const number = ++asked;
    const query = new URLSearchParams({ job: place.dataset.job });
    for (const name of names) query.set(name, form.elements.namedItem(name).value);
    const response = await fetch(`${place.dataset.schedulePreview}?${query}`, { redirect: "error" });
    const html = await response.text();
    // A slow answer to an earlier question is not shown. The HTML is the server's own template, escaped there.
    if (response.ok && number === asked) place.innerHTML = html;
  }

  function changed(event) {
    if (!names.includes(event.target.name)) return;
    showFields();
    clearTimeout(timer);
    timer = setTimeout(() => show().catch(() => {}), 300);
  }

  showFields();
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
});
