/*
 * Boxes on what gives somebody or a place away, drawn on the anonymized picture: by mouse, pen and finger, or wholly by
 * keys. A box is kept in whole pixels of the picture itself, whatever its size on the screen. Boxes belong to their
 * pair: they come back with it when its answer is changed, and no other pair sees them. All words are the page's own.
 */

import { latinKey } from "./keys.js";

const LEAST_DRAG = 6; // CSS pixels; less is a press
const STEP = 8; // CSS pixels that an arrow moves a box by, in whole picture pixels: finer where the picture is enlarged
const SHARE_OF_SIGHT = 4; // a box made by key has this part of the width and height in sight
const LEAST_MADE = 32; // CSS pixels; and no less than this
const LEAST_FOR_CORNERS = 56; // CSS pixels; a smaller box has one handle, outside of it, so that it can be taken hold of
const SAY_AFTER_MS = 400; // once the keys rest

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const REMOVE = new Set(["Delete", "Backspace"]);

const find = (selector) => document.querySelector(selector);
const within = (value, least, most) => Math.min(Math.max(value, least), most);
const fromTemplate = (name) => document.importNode(find(`template[data-cue-${name}]`).content, true).firstElementChild;
const sameBox = (one, other) => ["x", "y", "width", "height"].every((name) => one[name] === other[name]);

/* The page's sentences by name, each a function of what stands in its curly brackets. */
function sentences() {
  const found = find("template[data-cue-words]").content.querySelectorAll("[data-word]");
  const filledIn = (text) => (values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  return Object.fromEntries(Array.from(found, (each) => [each.dataset.word, filledIn(each.textContent.trim())]));
}

/*
 * `viewer` shows the pairs; `panel` lists their boxes, `toggle` begins and ends marking. `keysAreOn` and `announce` are as
 * for the viewer; while `keyTable` is open, keys are for it. `changed` hears what `missing` said last, when a box was removed
 * or got its kind.
 */
export function cuesOn(viewer, { panel, toggle, keyTable, keysAreOn, announce, changed }) {
  const words = sentences();
  const most = Number(panel.dataset.most);
  const leastSide = Number(panel.dataset.leastSide);
  const list = panel.querySelector("[data-cue-list]");
  const addButton = panel.querySelector("[data-cue-add]");
  const count = toggle.querySelector("[data-cue-count]");
  const layer = fromTemplate("layer");
  const handles = Array.from(layer.querySelectorAll("[data-corner]"));

  let size = null; // of the picture in its own pixels; null while no pair is shown
  let cues = []; // of the pair that is shown: {box, element, row, select}
  let boxes = []; // the pair's own list of the same boxes, which outlives the screen
  let chosen = null; // the cue that handles and keys are for
  let marking = false;
  let stroke = null; // what a drag is doing
  let sayTimer = 0;
  let complaint = null; // what `missing` said last

  /* --- Places --- */

  /* A place on the screen as one on the picture, in its pixels, not rounded. */
  function onPicture({ x, y }) {
    const seen = layer.getBoundingClientRect();
    return {
      x: within(((x - seen.left) / seen.width) * size.width, 0, size.width),
      y: within(((y - seen.top) / seen.height) * size.height, 0, size.height),
    };
  }

  const cssPixels = (n) => Math.max(1, Math.round((n * size.width) / layer.getBoundingClientRect().width));

  /* The box between two opposite corners, in whole pixels, no smaller than a box may be, inside the picture. */
  function between(one, other) {
    const [left, right] = edges(one.x, other.x, size.width);
    const [top, bottom] = edges(one.y, other.y, size.height);
    return { x: left, y: top, width: right - left, height: bottom - top };
  }

  /* `fixed` stays; the other edge keeps its distance from it. */
  function edges(fixed, free, end) {
    const first = Math.round(fixed);
    const second = Math.round(free);
    if (second >= first) {
      const right = within(Math.max(second, first + leastSide), 0, end);
      return [Math.max(0, Math.min(first, right - leastSide)), right];
    }
    const left = within(Math.min(second, first - leastSide), 0, end);
    return [left, Math.min(end, Math.max(first, left + leastSide))];
  }

  function movedBy(box, x, y) {
    return {
      ...box,
      x: within(Math.round(box.x + x), 0, size.width - box.width),
      y: within(Math.round(box.y + y), 0, size.height - box.height),
    };
  }

  /* Its right and lower edges move, so that all edges can be reached by moving it first. */
  const sizedBy = (box, x, y) => ({
    ...box,
    width: within(box.width + x, leastSide, size.width - box.x),
    height: within(box.height + y, leastSide, size.height - box.y),
  });

  /* What of the picture is in sight. */
  function sight() {
    const frame = layer.parentElement.getBoundingClientRect();
    const start = onPicture({ x: frame.left, y: frame.top });
    const end = onPicture({ x: frame.right, y: frame.bottom });
    return { x: start.x, y: start.y, width: end.x - start.x, height: end.y - start.y };
  }

  /* A box in the middle of that, beside others that were made there. */
  function boxInSight() {
    const seen = sight();
    const side = (length, whole) => within(Math.round(length / SHARE_OF_SIGHT), Math.min(whole, cssPixels(LEAST_MADE)), whole);
    const width = Math.max(leastSide, side(seen.width, size.width));
    const height = Math.max(leastSide, side(seen.height, size.height));
    const middle = { x: seen.x + (seen.width - width) / 2, y: seen.y + (seen.height - height) / 2, width, height };
    let box = movedBy(middle, 0, 0);
    for (let n = 0; n < most && boxes.some((other) => sameBox(box, other)); n += 1) {
      box = movedBy(box, cssPixels(STEP), cssPixels(STEP));
    }
    return box;
  }

  /* --- Cues and what stands for them: a button on the picture, a row in the list --- */

  const numberOf = (cue) => cues.indexOf(cue) + 1;
  const kindInWords = ({ box, select }) => (box.kind ? select.selectedOptions[0].textContent : words.unknown({}));
  const placeOf = ({ x, y, width, height }) => ({ left: x, right: x + width, top: y, bottom: y + height });
  const boxInWords = (cue) => words.box({ number: numberOf(cue), kind: kindInWords(cue), ...placeOf(cue.box) });

  function show(cue) {
    const row = fromTemplate("row");
    const element = document.createElement("button");
    element.type = "button";
    element.className = "cue";
    Object.assign(cue, { row, element, select: row.querySelector("select") });
    cue.select.value = cue.box.kind ?? "";
    cue.select.addEventListener("change", () => sayKind(cue));
    for (const part of [element, row]) part.addEventListener("focusin", () => turnTo(cue));
    row.addEventListener("keydown", (event) => pressInRow(event, cue));
    row.querySelector("button").addEventListener("click", () => remove(cue));
    layer.insertBefore(element, handles[0]);
    list.append(row);
  }

  function newCue(box) {
    if (cues.length >= most) {
      announce(words.full({ count: most }));
      return null;
    }
    const cue = { box };
    cues.push(cue);
    boxes.push(box);
    show(cue);
    update();
    return cue;
  }

  /* Take it away; the box that is in its place then is chosen. */
  function drop(cue) {
    const at = cues.indexOf(cue);
    clearTimeout(sayTimer);
    cues.splice(at, 1);
    boxes.splice(at, 1);
    cue.element.remove();
    cue.row.remove();
    choose(cues[at] ?? cues[at - 1] ?? null);
    update();
  }

  function remove(cue) {
    const number = numberOf(cue);
    const wasInList = cue.row.contains(document.activeElement);
    drop(cue);
    const next = wasInList ? chosen?.row.querySelector("button") : chosen?.element;
    (next ?? addButton).focus({ preventScroll: true });
    announce(words.removed({ number, count: cues.length }));
    changed(complaint);
  }

  function place(cue, box) {
    Object.assign(cue.box, box);
    update();
  }

  function sayKind(cue) {
    cue.box.kind = cue.select.value;
    update();
    announce(words.said({ number: numberOf(cue), kind: kindInWords(cue) }));
    changed(complaint);
  }

  /* Whose box or row has the focus is chosen, and its box is brought into sight, unless a pointer is on it. */
  function turnTo(cue) {
    choose(cue);
    if (!stroke) viewer.reveal(cue.element);
  }

  function choose(cue) {
    chosen = cue;
    for (const each of cues) {
      each.element.classList.toggle("chosen", each === cue);
      each.row.classList.toggle("chosen", each === cue);
    }
    showHandles();
  }

  function update() {
    cues.forEach((cue, i) => {
      const { box, element, row, select } = cue;
      const number = i + 1;
      position(element, box);
      element.dataset.number = number;
      element.setAttribute("aria-label", boxInWords(cue));
      row.querySelector(".cue-number").textContent = number;
      select.setAttribute("aria-label", words.kind({ number }));
      row.querySelector("button").setAttribute("aria-label", words.remove({ number }));
    });
    count.hidden = !cues.length;
    count.textContent = cues.length;
    addButton.setAttribute("aria-disabled", cues.length >= most);
    showHandles();
  }

  function position(element, { x, y, width, height }) {
    const shares = { left: x / size.width, top: y / size.height, width: width / size.width, height: height / size.height };
    for (const [name, share] of Object.entries(shares)) element.style.setProperty(`--cue-${name}`, share);
  }

  function showHandles() {
    const seen = chosen?.element.getBoundingClientRect();
    const isSmall = seen && Math.min(seen.width, seen.height) < LEAST_FOR_CORNERS;
    layer.toggleAttribute("data-small", Boolean(isSmall));
    for (const handle of handles) {
      handle.hidden = !chosen || !marking || (isSmall && handle.dataset.corner !== "south east");
      if (chosen) position(handle, chosen.box);
    }
  }

  /* --- Marking --- */

  function begin() {
    if (!size || marking) return;
    turn(true);
    viewer.turnTo(layer);
    announce(words.begin({}));
  }

  function end() {
    if (!marking) return;
    const hadFocus = panel.contains(document.activeElement) || layer.contains(document.activeElement);
    if (hadFocus) toggle.focus({ preventScroll: true });
    turn(false);
    announce(words.end({ count: cues.length }));
  }

  function turn(on) {
    marking = on;
    stroke = null;
    layer.inert = !on;
    layer.classList.toggle("marking", on);
    panel.hidden = !on;
    toggle.setAttribute("aria-pressed", on);
    document.body.classList.toggle("marks", on);
    choose(on ? (cues.at(-1) ?? null) : null);
    clearTimeout(sayTimer);
  }

  function addInSight() {
    viewer.turnTo(layer);
    const cue = newCue(boxInSight());
    if (!cue) return;
    cue.element.focus({ preventScroll: true });
    announce(`${words.added({ number: numberOf(cue) })} ${words.place(placeOf(cue.box))}`);
  }

  /* --- Pointers --- */

  const pen = {
    takes: (target) => marking && layer.contains(target),
    press(target, at) {
      const start = onPicture(at);
      const cue = cues.find(({ element }) => element === target);
      if (target.dataset.corner) stroke = sizing(target.dataset.corner, start);
      else if (cue) stroke = moving(cue, start);
      else stroke = drawing(start);
      Object.assign(stroke, { at, isDrag: false });
    },
    move(at) {
      if (!stroke) return;
      stroke.isDrag ||= Math.max(Math.abs(at.x - stroke.at.x), Math.abs(at.y - stroke.at.y)) >= LEAST_DRAG;
      if (stroke.isDrag) stroke.move(onPicture(at));
    },
    release() {
      stroke?.release(stroke.isDrag);
      stroke = null;
    },
    cancel() {
      stroke?.cancel();
      stroke = null;
    },
  };

  /* A new box, from its first corner. Its kind is asked for at once. */
  function drawing(start) {
    let cue = null;
    let isFull = false;
    return {
      move(to) {
        const box = between(start, to);
        if (cue) place(cue, box);
        else if (!isFull) {
          cue = newCue(box);
          isFull = !cue;
          if (cue) choose(cue);
        }
      },
      release() {
        if (!cue) return;
        announce(`${words.added({ number: numberOf(cue) })} ${words.place(placeOf(cue.box))}`);
        cue.select.focus({ preventScroll: true });
      },
      cancel: () => cue && drop(cue),
    };
  }

  function moving(cue, start) {
    const before = { ...cue.box };
    choose(cue);
    return {
      move: (to) => place(cue, movedBy(before, to.x - start.x, to.y - start.y)),
      release(isDrag) {
        cue.element.focus({ preventScroll: true });
        if (isDrag) sayPlace(cue);
      },
      cancel: () => place(cue, before),
    };
  }

  /* The corner that was taken hold of follows the pointer, the opposite one stays. */
  function sizing(corner, start) {
    const cue = chosen;
    const before = { ...cue.box };
    const [left, right, top, bottom] = [before.x, before.x + before.width, before.y, before.y + before.height];
    const [fixed, held] = [{}, {}];
    [fixed.x, held.x] = corner.includes("west") ? [right, left] : [left, right];
    [fixed.y, held.y] = corner.includes("north") ? [bottom, top] : [top, bottom];
    const follow = (to) => ({ x: held.x + to.x - start.x, y: held.y + to.y - start.y });
    return {
      move: (to) => place(cue, between(fixed, follow(to))),
      release() {
        cue.element.focus({ preventScroll: true });
        sayPlace(cue);
      },
      cancel: () => place(cue, before),
    };
  }

  /* --- Keys --- */

  function pressOnBox(event) {
    const cue = cues.find(({ element }) => element === event.target);
    if (!cue || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in ARROWS) pressArrow(cue, event);
    else if (REMOVE.has(event.key)) remove(cue);
    else return;
    event.preventDefault();
    event.stopPropagation(); // the viewer's arrows are for the picture
  }

  function pressArrow(cue, { key, shiftKey }) {
    const step = cssPixels(STEP);
    const [x, y] = ARROWS[key].map((way) => way * step);
    place(cue, shiftKey ? sizedBy(cue.box, x, y) : movedBy(cue.box, x, y));
    viewer.reveal(cue.element);
    sayPlace(cue);
  }

  function sayPlace(cue) {
    clearTimeout(sayTimer);
    sayTimer = setTimeout(() => announce(boxInWords(cue)), SAY_AFTER_MS);
  }

  function pressInRow(event, cue) {
    if (!REMOVE.has(event.key)) return;
    event.preventDefault();
    remove(cue);
  }

  /* From a key, or a reader of the screen: a pointer's click is a drag that went nowhere. */
  function pressBox(event) {
    const cue = cues.find(({ element }) => element === event.target);
    if (cue && event.detail === 0) cue.select.focus();
  }

  function pressKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat || keyTable.open) return;
    if (event.key === "Escape" && marking) pressEscape();
    else if (latinKey(event).toLowerCase() === "c" && keysAreOn()) toggleByKey();
  }

  function pressEscape() {
    if (stroke) pen.cancel();
    else end();
  }

  function toggleByKey() {
    if (marking) end();
    else begin();
    if (marking) addButton.focus({ preventScroll: true });
  }

  function listen() {
    viewer.drawWith(pen);
    toggle.addEventListener("click", () => (marking ? end() : begin()));
    addButton.addEventListener("click", addInSight);
    panel.querySelector("[data-cue-done]").addEventListener("click", end);
    layer.addEventListener("keydown", pressOnBox);
    layer.addEventListener("click", pressBox);
    document.addEventListener("keydown", pressKey);
    new ResizeObserver(showHandles).observe(layer);
  }

  /* The picture is shown whole in the middle of its place, which it shares with an original of another shape. */
  function fitLayer({ width, height }) {
    const scale = Math.min(width / size.width, height / size.height);
    layer.style.setProperty("--share-across", (size.width * scale) / width);
    layer.style.setProperty("--share-down", (size.height * scale) / height);
  }

  function empty() {
    turn(false);
    for (const { element, row } of cues) {
      element.remove();
      row.remove();
    }
    cues = [];
    boxes = [];
  }

  listen();
  layer.inert = true;
  toggle.hidden = false;

  return {
    /* Boxes can be drawn on this pair now; those that it has are shown. */
    show(pair) {
      empty();
      size = pair.lease.pictures.find(({ side }) => side === "anonymized");
      fitLayer(pair.size);
      pair.figures.find(({ dataset }) => dataset.side === "anonymized").querySelector(".window").append(layer);
      pair.boxes ??= [];
      boxes = pair.boxes;
      cues = boxes.map((box) => ({ box }));
      cues.forEach(show);
      update();
    },
    /* No pair is shown. */
    clear() {
      empty();
      size = null;
      count.hidden = true;
    },
    /* What keeps the answer from being sent, in words; then it is asked for. */
    missing() {
      const cue = cues.find(({ box }) => !box.kind);
      if (!cue) return null;
      begin();
      cue.select.focus();
      complaint = words.missing({ number: numberOf(cue) });
      return complaint;
    },
    /* The boxes as they are sent. */
    answer: () => (boxes.length ? { cues: boxes.map((box) => ({ ...box })) } : {}),
  };
}
