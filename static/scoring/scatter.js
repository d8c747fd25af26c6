/* Shows the pair that is pointed at, or reached by the keyboard. Without this script each point has its title. */

const card = document.querySelector("[data-point-card]");

function line(text) {
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  return paragraph;
}

function show({ pair, kind, mean, prediction, picture }) {
  const image = document.createElement("img");
  image.src = picture;
  image.alt = "Anonymized picture";
  card.replaceChildren(image, line(`Pair ${pair}, ${kind}`), line(`People ${mean}, model ${prediction}`));
}

for (const point of document.querySelectorAll(".point")) {
  point.addEventListener("pointerenter", () => show(point.dataset));
  point.addEventListener("focus", () => show(point.dataset));
}
