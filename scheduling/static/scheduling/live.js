// Keeps an active Task's page up to date: its state and its log, once a second. The page itself is whole without it.
(function () {
  "use strict";
  const state = document.getElementById("task-state");
  if (!state || !state.dataset.live) return;
  const log = document.getElementById("task-log");
  const note = document.getElementById("task-live-note");
  let last = Number(state.dataset.last);

  function show(task) {
    // The server's own template, escaped there.
    state.innerHTML = task.state;
    if (!task.log) return;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(task.log);
    last = task.last;
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  async function look() {
    let pause = 1000;
    try {
      const response = await fetch(`${state.dataset.live}?after=${last}`, { redirect: "error" });
      if (!response.ok) throw new Error(response.status);
      const task = await response.json();
      show(task);
      note.textContent = "";
      if (!task.active) {
        // Once more as a whole: its buttons, error and result are others now.
        location.reload();
        return;
      }
    } catch (error) {
      note.textContent = "The page cannot be brought up to date at the moment; trying again.";
      pause = 5000;
    }
    setTimeout(look, pause);
  }

  log.scrollTop = log.scrollHeight;
  setTimeout(look, 1000);
})();
