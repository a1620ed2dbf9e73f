// Keeps what changes by itself up to date, every two seconds while the page is looked at. The page is whole without it.
(function () {
  "use strict";
  const page = document.querySelector(".scheduling-dashboard[data-live]");
  const note = document.getElementById("dashboard-note");
  if (!page) return;
  const shown = {};
  // A form's token is written differently in every answer.
  const TOKEN = /(name="csrfmiddlewaretoken" value=")[^"]*/g;

  function show(pieces) {
    for (const [name, html] of Object.entries(pieces)) {
      const place = document.getElementById(`dashboard-${name}`);
      const same = html.replace(TOKEN, "$1");
      if (!place || shown[name] === same) continue;
      const focused = place.contains(document.activeElement) && (document.activeElement.getAttribute("href") ?? "");
      // The server's own template, escaped there.
      place.innerHTML = html;
      // Who goes from link to link, or to the button, by keyboard stays where they were.
      const again = focused ? `a[href="${CSS.escape(focused)}"]` : "button";
      if (focused !== false) place.querySelector(again)?.focus({ preventScroll: true });
      shown[name] = same;
    }
  }

  async function look() {
    let pause = 2000;
    if (!document.hidden) {
      try {
        const response = await fetch(page.dataset.live, { redirect: "error" });
        if (!response.ok) throw new Error(response.status);
        show(await response.json());
        note.textContent = "";
      } catch (error) {
        note.textContent = "The page cannot be brought up to date at the moment; trying again.";
        pause = 10000;
      }
    }
    setTimeout(look, pause);
  }

  setTimeout(look, 2000);
})();
