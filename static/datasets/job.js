/*
 * Looks again every two seconds while a job is under way. What is being read or pressed stays in its place: only the
 * progress changes, and everything else once the state does. A new state is announced, progress is not.
 */

const EVERY = 2000;
const section = document.getElementById("job");
const isUnderWay = () => section.dataset.finished === "false";

async function fetchedSection() {
  const response = await fetch(`${location.pathname}?again=1`);
  if (!response.ok || response.redirected) return null; // logged out meanwhile, or the server is in trouble
  return new DOMParser().parseFromString(await response.text(), "text/html").getElementById("job");
}

function show(fetched) {
  if (fetched.dataset.state === section.dataset.state) {
    document.getElementById("progress").replaceChildren(...fetched.querySelector("#progress").childNodes);
    return;
  }
  Object.assign(section.dataset, fetched.dataset);
  section.replaceChildren(...fetched.childNodes);
  document.getElementById("news").textContent = `${section.querySelector("h1, h2").textContent}: ${section.dataset.state}`;
}

async function lookAgain() {
  try {
    const fetched = await fetchedSection();
    if (fetched) show(fetched);
  } catch {
    // The server is away for a moment; the next look may find it.
  }
  lookLater();
}

function lookLater() {
  if (isUnderWay()) setTimeout(lookAgain, EVERY);
}

lookLater();
