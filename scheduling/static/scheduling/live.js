// Keeps an active Task's page up to date: status, progress and log, once a second. The page itself is whole without it.
(function () {
  const place = document.getElementById("task-live");
  if (!place || !place.dataset.live) return;
  const log = document.getElementById("task-log");
  const state = document.getElementById("task-state");
  let last = -1;
  let first = true;
  async function look() {
    const response = await fetch(`${place.dataset.live}?after=${last}`, { headers: { Accept: "application/json" } });
    if (!response.ok) return;
    const task = await response.json();
    const share = task.total ? ` ${task.processed} of ${task.total}` : "";
    state.textContent = `${task.status}${share} ${task.text}`;
    if (log && task.log) {
      log.textContent = first ? task.log : log.textContent + task.log;
      log.scrollTop = log.scrollHeight;
    }
    if (task.last !== null) last = task.last;
    first = false;
    if (task.active) setTimeout(look, 1000);
    else location.reload();
  }
  look().catch(() => {});
})();
