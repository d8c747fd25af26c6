// Looks again every two seconds while a job is under way, and puts the new state in the old one's place.
const EVERY = 2000;

async function lookAgain() {
  const section = document.getElementById("job");
  if (section.dataset.finished === "true") return;
  try {
    const response = await fetch(window.location.href, { headers: { Accept: "text/html" } });
    if (response.ok && !response.redirected) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      section.replaceWith(document.adoptNode(page.getElementById("job")));
    }
  } catch {
    // The server is away for a moment; the next look may find it.
  }
  setTimeout(lookAgain, EVERY);
}

setTimeout(lookAgain, EVERY);
