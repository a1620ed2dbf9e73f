// Keeps an active Task's page up to date, twice a second while somebody looks at it, and narrows the shown log while one
// types. The page is whole without it.
(function () {
  "use strict";
  const state = document.getElementById("task-state");
  const log = document.getElementById("task-log");
  if (!state || !log) return;
  const SHORT = 500;
  const LONG = 5000;
  const LONGEST = 60000;

  // --- the log -----------------------------------------------------------------------------------------------------

  const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
  const HEAD = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\S+) /;
  const form = document.getElementById("task-log-form");
  const level = form.elements.namedItem("level");
  const text = form.elements.namedItem("q");
  const hidden = document.getElementById("task-log-hidden");
  const above = document.getElementById("task-log-above");
  const most = Number(log.dataset.most);
  let shown = countLines(log.textContent);

  function countLines(some) {
    return some.split("\n").length - 1;
  }

  function fits(entry) {
    const grade = LEVELS.indexOf(entry.dataset.level);
    // A line whose level is not known is never hidden for it.
    const isGrave = grade < 0 || grade >= LEVELS.indexOf(level.value);
    return isGrave && entry.textContent.toLowerCase().includes(text.value.toLowerCase());
  }

  function narrow() {
    const entries = Array.from(log.children);
    let left = 0;
    for (const entry of entries) {
      entry.hidden = !fits(entry);
      if (entry.hidden) left += 1;
    }
    hidden.textContent = left ? `${left} of the ${entries.length} entries below are hidden.` : "";
  }

  function append(lines) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const added = document.createDocumentFragment();
    let entry = log.lastElementChild;
    for (const line of lines.split(/(?<=\n)/)) {
      const head = HEAD.exec(line);
      if (head || !entry) {
        entry = document.createElement("span");
        entry.dataset.level = head && LEVELS.includes(head[1]) ? head[1] : "";
        added.append(entry);
      }
      entry.append(line);
    }
    log.append(added);
    shown += countLines(lines);
    drop();
    if (level.value || text.value) narrow();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  function drop() {
    let dropped = 0;
    while (shown > most && log.childElementCount > 1) {
      const lines = countLines(log.firstElementChild.textContent);
      log.firstElementChild.remove();
      shown -= lines;
      dropped += lines;
    }
    if (!dropped) return;
    above.dataset.above = Number(above.dataset.above) + dropped;
    above.querySelector("span").textContent = above.dataset.above;
    above.hidden = false;
  }

  form.addEventListener("input", narrow);
  log.scrollTop = log.scrollHeight;
  // A browser may have put back what was typed before the page was loaded anew.
  if (level.value || text.value) narrow();

  // --- the Task ------------------------------------------------------------------------------------------------------

  if (!state.dataset.live) return;
  const note = document.getElementById("task-live-note");
  let last = Number(state.dataset.last);
  let failures = 0;
  let timer = 0;
  let isAsking = false;

  async function ask() {
    const response = await fetch(`${state.dataset.live}?after=${last}`, { redirect: "error" });
    if (response.status === 404) return null;
    if (!response.ok) throw new Error(String(response.status));
    return response.json();
  }

  function show(task) {
    // The server's own template, escaped there.
    state.innerHTML = task.state;
    note.textContent = "";
    if (task.last === null) return;
    last = task.last;
    append(task.log);
  }

  // How long until the next look; null: never again.
  async function look() {
    let task;
    try {
      task = await ask();
      failures = 0;
    } catch {
      failures += 1;
      note.textContent = "The page cannot be brought up to date at the moment; trying again.";
      return Math.min(LONG * failures, LONGEST);
    }
    if (task === null) {
      note.textContent = "This Task has been deleted.";
      return null;
    }
    show(task);
    if (task.more) return 0;
    if (!task.active) {
      // Once as a whole: its buttons, error and result are others now.
      location.reload();
      return null;
    }
    return document.hidden ? LONG : SHORT;
  }

  async function lookAndWait() {
    if (isAsking) return;
    isAsking = true;
    clearTimeout(timer);
    const pause = await look();
    isAsking = false;
    if (pause !== null) timer = setTimeout(lookAndWait, pause);
    else state.removeAttribute("data-live");
  }

  document.addEventListener("visibilitychange", function () {
    if (!document.hidden && state.dataset.live) lookAndWait();
  });
  timer = setTimeout(lookAndWait, SHORT);
})();
