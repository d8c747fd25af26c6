/*
 * Before the first pair: how large the pictures will be in this window. It warns in words and sends what it measured
 * along with the answers to the questions. It keeps nobody out, whatever their screen or their browser's zoom.
 */

import { gettext, interpolate } from "./words.js";

const field = document.querySelector("input[name=screen]");
const words = document.querySelector("[data-screen-words]");
const { mode, least: leastPicture } = field.dataset;

/* What the rating page has around its pictures, in CSS pixels; rate.css and viewer.js say it exactly. */
const MARGIN = 48;
const GAP = 24;
const ABOVE_AND_BELOW = 300;
const NARROW = 640;
const MARGIN_NARROW = 24;
const ABOVE_AND_BELOW_NARROW = 420;
const LEAST_STAGE = 224;
const LEAST_STAGE_UPRIGHT = 0.6; // of the height, where the window is narrow
const LANDSCAPE = 4 / 3;
const SMALL = gettext(
  "This window is small: a picture would be about %(width)s pixels wide in it. If you can, make the window larger, turn your device or use a larger screen. You can go on in any case, and enlarge the pictures as you rate.",
);

/* The width that a landscape picture will have when it is whole. */
function pictureWidth() {
  const isNarrow = innerWidth <= NARROW;
  const width = innerWidth - (isNarrow ? MARGIN_NARROW : MARGIN);
  const least = isNarrow && innerHeight > innerWidth ? LEAST_STAGE_UPRIGHT * innerHeight : LEAST_STAGE;
  const height = Math.max(least, innerHeight - (isNarrow ? ABOVE_AND_BELOW_NARROW : ABOVE_AND_BELOW));
  const fits = (across, down) => Math.max(0, Math.min(across, down * LANDSCAPE));
  if (mode === "HA1") return fits(width, height);
  return Math.max(fits((width - GAP) / 2, height), fits(width, (height - GAP) / 2));
}

function measure() {
  const width = Math.round(pictureWidth());
  field.value = JSON.stringify({
    viewport_width: innerWidth,
    viewport_height: innerHeight,
    pixel_ratio: devicePixelRatio,
    picture_width: width,
  });
  const isSmall = width < Number(leastPicture);
  if (isSmall === words.hidden) warn(isSmall, width);
}

function warn(isSmall, width) {
  words.hidden = !isSmall;
  words.textContent = isSmall ? interpolate(SMALL, { width }) : "";
}

window.addEventListener("resize", measure);
measure();
