/*
 * Which input counts for the pair in front. Nothing that began on one pair may answer another: a pair takes input once it
 * has been in view for a moment, and then only by a press that began after it. What comes earlier is not kept.
 */

const IN_VIEW_MS = 400; // longer than a key bounces, and than most people take for a double click
const CLICK_FOLLOWS_MS = 500; // by which a click may come after its finger has left

/* `opened` is told when the pair in view begins to take input, `closed` when it no longer does. */
export function gesturesOn(root, { opened, closed }) {
  let timer = 0;
  let isAwaited = false; // a pair is in view, but not for long enough
  let isOpen = false;
  let waiting = []; // for it to open
  let last = { isEarly: false, endedAt: Infinity }; // the gesture that began last; Infinity while it goes on

  function begin({ repeat }) {
    if (!repeat) last = { isEarly: !isOpen, endedAt: Infinity };
  }

  function end() {
    last.endedAt = performance.now();
  }

  /* A click without a press of its own, as assistive technology makes it, is one too. */
  const isEarly = () => last.isEarly && performance.now() - last.endedAt < CLICK_FOLLOWS_MS;

  function takesInput() {
    return isOpen && !isEarly();
  }

  /* The second click of a double click is no new press, however slow it was. */
  function filter(event) {
    if (!event.target.closest("[data-scale], [type=submit]")) return;
    if (takesInput() && event.detail < 2) return;
    event.preventDefault();
    event.stopPropagation();
  }

  function open() {
    isAwaited = false;
    isOpen = true;
    opened();
    for (const resolve of waiting.splice(0)) resolve();
  }

  /* Behind another tab nobody sees the pair: the moment begins anew. */
  function wait() {
    clearTimeout(timer);
    if (isAwaited && !document.hidden) timer = setTimeout(open, IN_VIEW_MS);
  }

  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, begin, true);
  for (const kind of ["pointerup", "pointercancel", "keyup"]) document.addEventListener(kind, end, true);
  document.addEventListener("visibilitychange", wait);
  root.addEventListener("click", filter, true);

  return {
    takesInput,
    isWaiting: () => isAwaited,
    comesIntoView() {
      isAwaited = true;
      wait();
    },
    /* It has gone, or takes no more. */
    close() {
      isOpen = isAwaited = false;
      clearTimeout(timer);
      closed();
    },
    /* Once a pair takes input, which may be at once. */
    ready: () => (isOpen ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
