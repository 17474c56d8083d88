// Light or dark as the system says; the menu open on wide screens; parts that refresh themselves.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const wide = matchMedia("(min-width: 62rem)");

function follow(query, apply) {
  apply(query.matches);
  query.addEventListener("change", (event) => apply(event.matches));
}

follow(dark, (isDark) => { document.documentElement.dataset.bsTheme = isDark ? "dark" : "light"; });

// <section data-refresh="10" id="…">: every so many seconds the page is fetched again and the part put in its place,
// unless somebody is busy in it or the page is out of sight.
async function refresh(part) {
  if (document.hidden || part.contains(document.activeElement)) return;
  const answer = await fetch(location.href, { headers: { "X-Refresh": part.id } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(part.id);
  if (fresh) part.replaceChildren(...fresh.childNodes);
}

document.addEventListener("DOMContentLoaded", () => {
  const menu = document.querySelector("[data-menu]");
  if (menu) follow(wide, (isWide) => { menu.open = isWide; });
  for (const part of document.querySelectorAll("[data-refresh]")) {
    setInterval(() => refresh(part).catch(() => {}), Number(part.dataset.refresh) * 1000);
  }
});
