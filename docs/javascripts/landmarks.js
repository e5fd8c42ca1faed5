// The theme's search has no name for who cannot see it, and each code block counts as a navigation of its own.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");

const quieten = () => {
  for (const nav of document.querySelectorAll(".md-code__nav:not([role])")) {
    nav.setAttribute("role", "none");
  }
};
quieten();
new MutationObserver(quieten).observe(document.body, { childList: true, subtree: true });
