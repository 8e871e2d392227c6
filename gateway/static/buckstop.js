// What makes pages nicer where script runs; every page works without it.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  document.querySelector("[data-focus]")?.focus();

  // A link of the error summary puts the cursor into its field.
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".bs-errors a[href^='#']");
    const field = link && document.getElementById(link.hash.slice(1));
    if (field) {
      event.preventDefault();
      field.scrollIntoView({ block: "center" });
      field.focus();
    }
  });

  // A second press while the first is on its way does nothing.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    const button = event.submitter;
    if (button?.dataset.busy) {
      button.dataset.rest = button.textContent;
      button.textContent = button.dataset.busy;
      button.setAttribute("aria-disabled", "true");
    }
  });
  // Coming back with the back button shows the page as it was: let it send again.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
    for (const button of document.querySelectorAll("[data-rest]")) {
      button.textContent = button.dataset.rest;
      button.removeAttribute("aria-disabled");
    }
  });

  for (const button of document.querySelectorAll("[data-locate]")) offerMyLocation(button);
  for (const input of document.querySelectorAll("[data-photos]")) listChosenPhotos(input);
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
  for (const area of document.querySelectorAll("[data-count]")) countLetters(area);
});

// "Use my location": fills the hidden point and says so beside the button.
function offerMyLocation(button) {
  if (!navigator.geolocation) return;
  const form = button.form;
  const told = document.getElementById(button.dataset.told);
  button.hidden = false;
  button.addEventListener("click", () => {
    told.textContent = button.dataset.asking;
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        form.elements.lat.value = coords.latitude.toFixed(6);
        form.elements.lon.value = coords.longitude.toFixed(6);
        form.elements.place_source.value = "device";
        told.textContent = button.dataset.found.replace("{0}", String(Math.round(coords.accuracy)));
        for (const box of form.querySelectorAll("[name=use_photo_place]")) box.checked = false;
      },
      () => { told.textContent = button.dataset.failed; },
      { enableHighAccuracy: true, timeout: 15000, maximumAge: 60000 },
    );
  });
}

// Names the photos that were chosen, and those that are too large before they are sent.
function listChosenPhotos(input) {
  const list = document.getElementById(input.dataset.photos);
  input.addEventListener("change", () => {
    list.replaceChildren(...[...input.files].map((file) => {
      const line = document.createElement("li");
      const size = file.size < 1e6 ? `${Math.ceil(file.size / 1e3)} kB` : `${(file.size / 1e6).toFixed(1)} MB`;
      line.textContent = `${file.name} (${size})`;
      if (file.size > Number(input.dataset.most)) {
        line.className = "bs-too-large";
        line.textContent += ` – ${input.dataset.tooLarge}`;
      }
      return line;
    }));
  });
}

// Says how many letters are left once it gets close.
function countLetters(area) {
  const most = Number(area.dataset.count);
  const told = document.getElementById(area.dataset.countTold);
  const tell = () => {
    const left = most - [...area.value].length;
    const words = left < 0 ? area.dataset.countOver : area.dataset.countLeft;
    told.textContent = left < 1000 ? words.replace("{0}", String(Math.abs(left))) : "";
  };
  area.addEventListener("input", tell);
  tell();
}
