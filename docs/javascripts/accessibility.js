// The theme's search has no name for who cannot see it, each code block counts as a navigation of its own, and what moves
// within itself cannot be moved with the keyboard.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");

const MOVES = { Table: ".md-typeset__scrollwrap", Diagram: 'p:has(> img[src*="diagrams/"])' };

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) {
      target.tabIndex = 0;
    } else {
      target.removeAttribute("tabindex");
    }
  }
});

const complete = () => {
  for (const nav of document.querySelectorAll(".md-code__nav:not([role])")) {
    nav.setAttribute("role", "none");
  }
  for (const [name, selector] of Object.entries(MOVES)) {
    for (const box of document.querySelectorAll(`${selector}:not([role])`)) {
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", name);
      sizes.observe(box);
    }
  }
};
complete();
new MutationObserver(complete).observe(document.body, { childList: true, subtree: true });
