// Wide tables scroll in a box that the theme puts around them. A box that the keyboard can't reach, it can't scroll.
document$.subscribe(() => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap")) box.tabIndex = 0;
});
