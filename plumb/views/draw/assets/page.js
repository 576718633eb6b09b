"use strict";
// The page's data are text: nothing of it becomes markup, for all goes in by textContent.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const view = document.getElementById("view"), about = document.getElementById("about");
  const svg = view.querySelector("svg");
  const object = name => svg.querySelector(`[data-object="${name}"]`);

  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };

  // -- explanations ---------------------------------------------------------

  const choose = name => {
    for (const one of svg.querySelectorAll(".chosen")) one.classList.remove("chosen");
    const chosen = object(name);
    if (chosen) chosen.classList.add("chosen");
  };

  const explain = name => {
    const known = data.objects[name];
    if (!known) return;
    choose(name);
    about.replaceChildren(element("h2", known.title));
    for (const one of known.explanations) {
      if (one.name) about.append(element("h2", one.name));
      const list = element("dl");
      for (const [head, words] of one.rows)
        list.append(element("dt", head), element("dd", words, head === "command" ? head : ""));
      about.append(list);
    }
  };

  for (const one of svg.querySelectorAll(".object")) {
    one.setAttribute("tabindex", "0");
    one.setAttribute("role", "button");
    one.addEventListener("click", () => explain(one.dataset.object));
    one.addEventListener("keydown", event => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      explain(one.dataset.object);
    });
  }

  // -- the story ------------------------------------------------------------

  const steps = [...document.querySelectorAll(".step")];
  if (!steps.length) return;
  const packet = document.createElementNS(svg.namespaceURI, "circle");
  packet.setAttribute("r", "6");
  packet.setAttribute("class", "packet");
  packet.setAttribute("visibility", "hidden");
  svg.append(packet);
  let at = -1, timer = 0;
  const play = document.getElementById("play");

  const move = step => {
    const spot = object(step.dataset.at);
    if (!spot) return;
    const box = spot.querySelector("rect").getBBox();
    const shown = box.height > 40 ? 13 : box.height / 2;
    const first = packet.getAttribute("visibility") === "hidden";
    if (first) packet.style.transition = "none";  // it does not come from the picture's corner
    packet.setAttribute("cx", box.x + box.width);
    packet.setAttribute("cy", box.y + shown);
    packet.setAttribute("visibility", "visible");
    if (first) {
      packet.getBoundingClientRect();
      packet.style.transition = "";
    }
    packet.classList.toggle("back", step.dataset.way.endsWith("back"));
    const place = spot.getBoundingClientRect(), frame = view.getBoundingClientRect();
    view.scrollBy(place.left + place.width / 2 - frame.left - frame.width / 2,
                  place.top + place.height / 2 - frame.top - frame.height / 2);
  };

  const go = (to, focus) => {
    at = Math.max(0, Math.min(steps.length - 1, to));
    steps.forEach((step, number) => {
      if (number === at) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    });
    for (const one of svg.querySelectorAll(".passed")) one.classList.remove("passed");
    for (const step of steps.slice(0, at + 1)) {
      const spot = object(step.dataset.at);
      if (spot) spot.classList.add("passed");
    }
    move(steps[at]);
    explain(steps[at].dataset.at);
    steps[at].scrollIntoView({ block: "nearest" });
    if (focus) steps[at].focus({ preventScroll: true });
  };

  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const start = () => {
    if (at >= steps.length - 1) at = -1;
    play.textContent = "Stop";
    go(at + 1);
    timer = setInterval(() => at < steps.length - 1 ? go(at + 1) : stop(), 900);
  };

  play.addEventListener("click", () => timer ? stop() : start());
  document.getElementById("back").addEventListener("click", () => { stop(); go(at - 1); });
  document.getElementById("next").addEventListener("click", () => { stop(); go(at + 1); });
  steps.forEach((step, number) => step.addEventListener("click", () => { stop(); go(number); }));
  document.addEventListener("keydown", event => {
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!way || event.altKey || event.ctrlKey || event.metaKey || event.target === view) return;
    event.preventDefault();
    stop();
    go(at + way, true);
  });
})();
