// Keeps the operators' page new; without script one loads it again.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const told = document.querySelector("[data-live]");
  if (told) watch(told, document.getElementById("figures"), document.getElementById("op-said"));
});

function watch(told, figures, said) {
  const source = new EventSource(told.dataset.live);
  source.addEventListener("message", (event) => {
    put(figures, JSON.parse(event.data).html);
    say(told, told.dataset.on);
    told.classList.add("op-live--on");
    told.classList.remove("op-live--off");
    // Read aloud only when it has changed, not every two seconds.
    say(said, document.getElementById("op-sentence").textContent.trim());
  });
  source.addEventListener("lately", (event) => {
    put(document.getElementById("lately"), JSON.parse(event.data).html);
  });
  source.addEventListener("over", () => {
    source.close();
    say(told, told.dataset.over);
    told.classList.add("op-live--off");
  });
  source.addEventListener("error", () => {
    say(told, told.dataset.off);
    told.classList.add("op-live--off");
    // A browser gives up for good when it is answered with an error page; an operator does not.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => watch(told, figures, said), 3000);
  });
}

function say(place, words) {
  if (place.textContent !== words) place.textContent = words;
}

// New figures, and whoever had the focus on one of our links keeps it.
function put(figures, html) {
  const held = figures.contains(document.activeElement) && document.activeElement.id;
  figures.innerHTML = html;
  if (held) document.getElementById(held)?.focus({ preventScroll: true });
}
