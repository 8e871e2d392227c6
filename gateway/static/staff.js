// What makes the staff pages quicker where script runs; every page works without it.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  openTheFormIn(location.hash);
  // Where the navigation is wider than the screen, it begins with where one is.
  for (const here of document.querySelectorAll(".bs-nav [aria-current], .st-tabs [aria-current]")) {
    const row = here.parentElement;
    row.scrollLeft = here.offsetLeft - row.offsetLeft - (row.clientWidth - here.offsetWidth) / 2;
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#form-']");
    if (link && openTheFormIn(link.hash)) event.preventDefault();

    // A suggestion is taken without leaving the field that is being typed in.
    const pick = event.target.closest("[data-pick]");
    if (pick) {
      const field = document.getElementById(pick.dataset.into);
      field.value = pick.dataset.pick;
      field.dispatchEvent(new Event("change", { bubbles: true }));
      field.focus();
    }
  });

  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("form");
    if (!form || event.key !== "Enter" || event.isComposing) return;
    if ((event.ctrlKey || event.metaKey) && event.target.matches("input, textarea, select")) {
      event.preventDefault();
      form.requestSubmit();
    } else if (form.matches("[data-keys]") && event.target.matches("input:not([type=checkbox]), select")) {
      // In the middle of a call Enter means "next", never "done".
      event.preventDefault();
      next(form, event.target)?.focus();
    }
  });
});

// Opens the form that an address names, and puts the cursor into its first field.
function openTheFormIn(hash) {
  const form = hash.startsWith("#form-") && document.getElementById(hash.slice(1));
  if (!form || form.tagName !== "DETAILS") return false;
  form.open = true;
  form.scrollIntoView({ block: "start" });
  form.querySelector("input:not([type=hidden]), select, textarea")?.focus({ preventScroll: true });
  return true;
}

function next(form, field) {
  const fields = [...form.elements].filter((one) => one.type !== "hidden" && !one.disabled && one.tabIndex >= 0);
  return fields[fields.indexOf(field) + 1];
}
