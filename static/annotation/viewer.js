/*
 * How the pictures of a pair are looked at: fit or enlarged, always both alike; side by side, one over the other with a
 * divider between them (swipe), or one in the place of the other (flicker). The way to compare stays from pair to pair,
 * zoom and divider begin anew. What was used, and for how long, is reported as viewing conditions and changes nothing.
 */

import { latinKey } from "./keys.js";
import { gettext, interpolate } from "./words.js";

const MOST_ZOOM = 8; // CSS pixels per picture pixel
const ZOOM_STEP = 1.25;
const ZOOM_PER_WHEEL_PIXEL = 0.002;
const MOST_WHEEL_PIXELS = 200; // of one event; some wheels send a whole page at once
const WHEEL_LINE = 16;
const PAN_STEP = 64; // CSS pixels
const HOLD_MS = 400; // a press that lasts so long holds, a shorter one toggles

const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const DIVIDER_STEPS = {
  ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1,
};
const DIVIDER_ROOM = 24; // CSS pixels to either side of its line
const HOLD_KEY = "x";
const KEYS = { "+": "in", "=": "in", "-": "out", f: "fit", o: "actual", s: "side", w: "swipe", k: "flicker" };
const ZOOMS = new Set(["in", "out", "fit", "actual"]);
const SPOKEN = { side: gettext("Side by side"), swipe: gettext("Swipe"), flicker: gettext("Flicker") };
const SHARES = {
  original: gettext("%(left)s original, %(right)s anonymized"),
  anonymized: gettext("%(left)s anonymized, %(right)s original"),
};

const within = (value, least, most) => Math.min(Math.max(value, least), most);
const hasModifier = (event) => event.ctrlKey || event.altKey || event.metaKey;
const thousandths = (value) => Math.round(value * 1000) / 1000;

/* Milliseconds in each mode, without those in which the tab is hidden. */
function stopwatch() {
  let banked = {};
  let mode = null;
  let since = null;

  function turn(next = mode) {
    if (since !== null) banked[mode] += performance.now() - since;
    mode = next;
    if (mode !== null) banked[mode] ??= 0;
    since = mode === null || document.hidden ? null : performance.now();
  }

  document.addEventListener("visibilitychange", () => turn());
  return {
    turn,
    restart(first) {
      since = null;
      banked = {};
      turn(first);
    },
    seconds() {
      turn();
      return Object.fromEntries(Object.entries(banked).map(([each, spent]) => [each, Math.round(spent) / 1000]));
    },
  };
}

/* One pointer drags, two pinch; `moved` and `pinched` hear of each movement in CSS pixels. A drag begins with `pressed`
 * and ends with `released`, or with `cancelled` where it turned into a pinch or was taken away. */
function pointersOn(stage, { accepts, pressed, moved, pinched, released, cancelled }) {
  const points = new Map(); // by the pointer's id, in the order they came down
  let held = null; // what the first pointer came down on

  function down(event) {
    if (event.button !== 0 || points.size === 2 || !accepts(event)) return;
    const at = { x: event.clientX, y: event.clientY };
    if (points.size) cancelled();
    else {
      held = event.target;
      pressed(held, at);
    }
    points.set(event.pointerId, at);
    stage.setPointerCapture(event.pointerId);
  }

  function move(event) {
    const before = points.get(event.pointerId);
    if (!before) return;
    const after = { x: event.clientX, y: event.clientY };
    points.set(event.pointerId, after);
    if (points.size === 1) moved(held, before, after);
    else pinched(before, after, [...points].find(([id]) => id !== event.pointerId)[1]);
  }

  function up(event) {
    if (!points.delete(event.pointerId) || points.size) return;
    if (event.type === "pointerup") released();
    else cancelled();
  }

  stage.addEventListener("pointerdown", down);
  stage.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) stage.addEventListener(end, up);
  // Two fingers are a pinch of the pictures, also where one finger scrolls the page.
  const keepPinch = (event) => event.touches.length > 1 && event.cancelable && event.preventDefault();
  stage.addEventListener("touchmove", keepPinch, { passive: false });
}

/*
 * `stage` holds the figures of a pair; `tools` the buttons, with what they do in data-view; `divider` the slider of the
 * swipe, null where a study does not offer it. `keysAreOn` says whether letters and signs are commands now, `announce` tells a screen reader what a key did.
 */
export function viewerOf(stage, { tools, divider, keysAreOn, announce }) {
  const modes = stage.dataset.viewModes.split(" ");
  const watch = stopwatch();
  const flip = tools.querySelector("[data-view=flip]");
  const readout = tools.querySelector("[data-zoom]");
  let pair = null; // on the stage
  let mode = modes[0];
  let view = newView();
  let heldSince = null;
  let pen = null; // takes the drags that begin on what it draws on, see `drawWith`
  let drawing = false;

  /* `scale` is in CSS pixels per picture pixel, null for fit; x and y are where the picture begins in its window. */
  function newView() {
    return { scale: null, fit: 1, x: 0, y: 0, pans: false, largest: 0, share: 0.5, flipped: false, held: false };
  }

  const scaleNow = () => view.scale ?? view.fit;

  /* --- Layout --- */

  /* Where the pictures can be: beside each other or one above the other, whichever shows them larger. */
  function places() {
    const caption = pair.figures[0].querySelector("figcaption").offsetHeight;
    const gap = parseFloat(getComputedStyle(stage).columnGap);
    const { clientWidth: width, clientHeight: height } = stage;
    if (mode !== "side") return [{ flow: "across", width, height: height - caption }];
    return [
      { flow: "across", width: (width - gap) / 2, height: height - caption },
      { flow: "down", width, height: (height - gap) / 2 - caption },
    ];
  }

  /* The largest scale at which a picture is whole, and never enlarged past 1:1. */
  const fitIn = (place) => within(Math.min(place.width / pair.size.width, place.height / pair.size.height), 0.01, 1);

  /* Both windows are as large as their pictures until those are larger than the place for them. */
  function arrange() {
    if (!pair) return;
    const place = places().reduce((best, other) => (fitIn(other) > fitIn(best) ? other : best));
    view.fit = fitIn(place);
    if (view.scale !== null && view.scale <= view.fit) view.scale = null;
    const [width, height] = [pair.size.width * scaleNow(), pair.size.height * scaleNow()];
    const [across, down] = [Math.min(width, place.width), Math.min(height, place.height)];
    view.x = within(view.x, across - width, 0);
    view.y = within(view.y, down - height, 0);
    view.pans = width - across > 0.5 || height - down > 0.5;
    view.largest = Math.max(view.largest, scaleNow() * devicePixelRatio);
    write({ "window-width": across, "window-height": down, "picture-width": width, "picture-height": height });
    stage.dataset.flow = place.flow;
    showState();
  }

  function write(lengths) {
    for (const [name, length] of Object.entries(lengths)) stage.style.setProperty(`--${name}`, `${length}px`);
    stage.style.setProperty("--picture-x", `${view.x}px`);
    stage.style.setProperty("--picture-y", `${view.y}px`);
    stage.style.setProperty("--divider", view.share);
  }

  function showState() {
    stage.dataset.compare = mode;
    stage.toggleAttribute("data-pans", view.pans);
    const isAway = ({ dataset }) => mode === "flicker" && dataset.side !== sideOnTop();
    for (const figure of pair.figures) figure.classList.toggle("away", isAway(figure));
    if (divider) showDivider();
    showButtons();
  }

  function showDivider() {
    const percent = Math.round(view.share * 100);
    const shares = { left: `${percent} %`, right: `${100 - percent} %` };
    divider.hidden = mode !== "swipe";
    divider.setAttribute("aria-valuenow", percent);
    divider.setAttribute("aria-valuetext", interpolate(SHARES[pair.figures[0].dataset.side], shares));
  }

  function showButtons() {
    const pressed = { fit: view.scale === null, actual: scaleNow() === 1, flip: sideOnTop() === "original", [mode]: true };
    for (const button of tools.querySelectorAll("[data-view][aria-pressed]")) {
      button.setAttribute("aria-pressed", Boolean(pressed[button.dataset.view]));
    }
    if (flip) flip.hidden = mode !== "flicker";
    readout.textContent = inPercent();
  }

  const sideOnTop = () => (view.flipped !== view.held ? "original" : "anonymized");
  const inPercent = () => `${Math.round(scaleNow() * 100)} %`;

  /* --- Zoom and pan --- */

  /* The window under a point, or the first that is shown. */
  function windowAt(point) {
    const windows = pair.figures.filter((each) => !each.classList.contains("away")).map((each) => each.querySelector(".window"));
    return windows.find((each) => point && contains(each.getBoundingClientRect(), point)) ?? windows[0];
  }

  const contains = (box, { x, y }) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;

  /* Whatever is at the point (else in the middle) stays there, also when the windows grow. */
  function zoomTo(scale, point = null) {
    const shown = windowAt(point);
    const before = shown.getBoundingClientRect();
    const at = point ?? { x: before.left + before.width / 2, y: before.top + before.height / 2 };
    const onPicture = { x: (at.x - before.left - view.x) / scaleNow(), y: (at.y - before.top - view.y) / scaleNow() };
    view.scale = within(scale, view.fit, MOST_ZOOM);
    arrange();
    const after = shown.getBoundingClientRect();
    const anchor = point ?? { x: after.left + after.width / 2, y: after.top + after.height / 2 };
    view.x = anchor.x - after.left - onPicture.x * scaleNow();
    view.y = anchor.y - after.top - onPicture.y * scaleNow();
    arrange();
  }

  function pan(x, y) {
    view.x += x;
    view.y += y;
    arrange();
  }

  function fit() {
    view.scale = null;
    arrange();
  }

  function turnWheel(event) {
    if (!pair || hasModifier(event) || !takesWheel()) return;
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? WHEEL_LINE : 1);
    const factor = Math.exp(-within(pixels, -MOST_WHEEL_PIXELS, MOST_WHEEL_PIXELS) * ZOOM_PER_WHEEL_PIXEL);
    zoomTo(scaleNow() * factor, { x: event.clientX, y: event.clientY });
  }

  /* A page that is longer than the screen goes on scrolling until somebody has turned to the pictures. */
  function takesWheel() {
    const page = document.documentElement;
    return view.scale !== null || stage.contains(document.activeElement) || page.scrollHeight <= page.clientHeight;
  }

  function toggleSize(event) {
    if (!pair || event.target === divider) return;
    if (view.scale === null) zoomTo(1, { x: event.clientX, y: event.clientY });
    else fit();
  }

  /* How far to move what reaches from `low` to `high` so that it lies between two ends, the lower one first. */
  const nudge = (low, high, from, to) => (low < from || high - low > to - from ? from - low : Math.min(0, to - high));

  /* In the place of the other picture: the one that something lies on. */
  function turnTo(element) {
    if (mode !== "flicker") return;
    Object.assign(view, { flipped: element.closest(".picture").dataset.side === "original", held: false });
    arrange();
  }

  /* Bring something that lies on a picture into sight. */
  function reveal(element) {
    turnTo(element);
    const frame = element.closest(".window").getBoundingClientRect();
    const box = element.getBoundingClientRect();
    view.x += nudge(box.left, box.right, frame.left, frame.right);
    view.y += nudge(box.top, box.bottom, frame.top, frame.bottom);
    arrange();
    if (mode === "swipe") uncover(element, frame);
  }

  /* The left picture is seen up to the divider, the right one from there. */
  function uncover(element, frame) {
    const box = element.getBoundingClientRect();
    const share = (x) => within((x - frame.left) / frame.width, 0, 1);
    const isLeft = pair.figures[0].contains(element);
    const [least, largest] = [share(box.right + DIVIDER_ROOM), share(box.left - DIVIDER_ROOM)];
    view.share = isLeft ? Math.max(view.share, least) : Math.min(view.share, largest);
    arrange();
  }

  /* --- Comparing --- */

  function compare(chosen) {
    if (!modes.includes(chosen) || chosen === mode) return;
    mode = chosen;
    Object.assign(view, { flipped: false, held: false });
    if (!pair) return showMode();
    const focused = document.activeElement;
    watch.turn(mode);
    arrange();
    // Whoever stood on what this mode hides, the divider or the button of the flicker, stands on the pictures now.
    if (focused?.hidden) stage.focus({ preventScroll: true });
  }

  function showMode() {
    stage.dataset.compare = mode;
    showButtons();
  }

  function moveDivider(by) {
    view.share = within(view.share + by, 0, 1);
    arrange();
  }

  function hold(isHeld) {
    if (!pair || mode !== "flicker" || view.held === isHeld) return;
    view.held = isHeld;
    arrange();
    sayWhichIsShown();
  }

  function toggleFlip() {
    const wasHeld = heldSince !== null && performance.now() - heldSince > HOLD_MS;
    heldSince = null;
    if (wasHeld || !pair) return;
    view.flipped = !view.flipped;
    arrange();
    sayWhichIsShown();
  }

  const sayWhichIsShown = () => announce(sideOnTop() === "original" ? gettext("Original") : gettext("Anonymized"));

  function listenToFlip() {
    flip.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      heldSince = performance.now();
      hold(true);
    });
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) flip.addEventListener(end, () => hold(false));
  }

  /* --- Pointers and keys --- */

  function pressed(target, at) {
    drawing = Boolean(pen?.takes(target));
    if (drawing) pen.press(target, at);
  }

  function released() {
    if (drawing) pen.release();
    drawing = false;
  }

  function cancelled() {
    if (drawing) pen.cancel();
    drawing = false;
  }

  function moved(target, before, after) {
    if (drawing) pen.move(after);
    else drag(target, before, after);
  }

  function drag(target, before, after) {
    const [x, y] = [after.x - before.x, after.y - before.y];
    const box = windowAt(null).getBoundingClientRect();
    if (target === divider) moveDivider((after.x - box.left) / box.width - view.share);
    else if (mode === "swipe" && !view.pans) moveDivider(x / box.width);
    else pan(x, y);
  }

  function pinched(before, after, other) {
    const middle = { x: (before.x + other.x) / 2, y: (before.y + other.y) / 2 };
    const distance = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
    zoomTo((scaleNow() * distance(after)) / distance(before), middle);
    pan((after.x - before.x) / 2, (after.y - before.y) / 2);
  }

  /* Arrows on the stage move an enlarged picture, else the divider; on the divider, or with Shift, the divider. */
  function pressArrow(event) {
    if (!pair || hasModifier(event)) return;
    const onDivider = event.target === divider;
    const divides = onDivider || (mode === "swipe" && (event.shiftKey || !view.pans) && /Left|Right/.test(event.key));
    if (divides && event.key in DIVIDER_STEPS) moveDivider(DIVIDER_STEPS[event.key]);
    else if (!onDivider && view.pans && event.key in ARROWS) pan(...ARROWS[event.key].map((way) => way * PAN_STEP));
    else return;
    event.preventDefault();
  }

  const commands = {
    in: () => zoomTo(scaleNow() * ZOOM_STEP),
    out: () => zoomTo(scaleNow() / ZOOM_STEP),
    fit,
    actual: () => zoomTo(1),
    side: () => compare("side"),
    swipe: () => compare("swipe"),
    flicker: () => compare("flicker"),
    flip: toggleFlip,
  };

  function run(name) {
    if (!pair && ZOOMS.has(name)) return;
    commands[name]?.();
    if (ZOOMS.has(name)) announce(interpolate(gettext("Zoom %(percent)s"), { percent: inPercent() }));
  }

  function pressKey(event) {
    if (hasModifier(event) || event.isComposing || !keysAreOn()) return;
    const key = latinKey(event).toLowerCase();
    if (key === HOLD_KEY && !event.repeat) hold(true);
    else if (key in KEYS) pressCommand(KEYS[key]);
  }

  function pressCommand(name) {
    if (name in SPOKEN && !modes.includes(name)) return;
    run(name);
    if (name in SPOKEN) announce(SPOKEN[name]);
  }

  function listen() {
    stage.addEventListener("wheel", turnWheel, { passive: false });
    stage.addEventListener("dblclick", toggleSize);
    stage.addEventListener("keydown", pressArrow);
    pointersOn(stage, { accepts: () => pair !== null, pressed, moved, pinched, released, cancelled });
    tools.addEventListener("click", ({ target }) => run(target.closest("[data-view]")?.dataset.view));
    if (flip) listenToFlip();
    document.addEventListener("keydown", pressKey);
    document.addEventListener("keyup", (event) => latinKey(event).toLowerCase() === HOLD_KEY && hold(false));
    window.addEventListener("blur", () => hold(false));
    new ResizeObserver(arrange).observe(stage);
  }

  listen();
  tools.hidden = false;
  stage.tabIndex = 0;
  showMode();

  return {
    /* Put a pair on the stage: its figures, each with data-side, and the size in pixels that both are shown in. */
    show(next) {
      pair = next;
      view = newView();
      stage.replaceChildren(...pair.figures, ...(divider ? [divider] : []));
      watch.restart(mode);
      arrange();
    },
    /* Take the pair off, for something else to stand there. */
    clear() {
      pair = null;
      watch.turn(null);
    },
    /* Let a pen have the drags on what it `takes`: it hears `press` with what is under the pointer, `move` with places
     * in CSS pixels, and `release` or `cancel`. */
    drawWith(next) {
      pen = next;
    },
    turnTo,
    reveal,
    /* How the pair has been looked at until now. */
    conditions: () => ({
      seconds: watch.seconds(),
      zoom: thousandths(view.largest),
      picture_width: thousandths(pair.size.width * view.fit),
      stage_width: stage.clientWidth,
      stage_height: stage.clientHeight,
      viewport_width: innerWidth,
      viewport_height: innerHeight,
      pixel_ratio: thousandths(devicePixelRatio),
    }),
  };
}
