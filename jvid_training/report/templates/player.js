// One clock for every clip: frame k of all canvases at once, drawn from the picture that holds a clip's frames.
"use strict";
(() => {
  const root = document.documentElement;
  const bar = document.getElementById("player");
  const fps = Number(bar.dataset.fps), frames = Number(bar.dataset.frames);
  const toggle = bar.querySelector("[name=toggle]"), slider = bar.querySelector("[name=frame]");
  const speed = bar.querySelector("[name=speed]"), where = bar.querySelector("output");
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  let clips = [], playing = false, at = 0, last = 0;

  function draw() {
    const k = Math.floor(at);
    for (const clip of clips) {
      if (clip.shown === k) continue;
      const own = k % clip.frames;  // a shorter clip loops by itself
      const x = (own % clip.columns) * clip.canvas.width, y = Math.floor(own / clip.columns) * clip.canvas.height;
      clip.pen.drawImage(clip.sheet, x, y, clip.canvas.width, clip.canvas.height, 0, 0, clip.canvas.width, clip.canvas.height);
      clip.shown = k;
    }
    slider.value = k;
    where.textContent = `${k + 1}/${frames}`;
    root.dataset.frame = k;
  }

  function tick(now) {
    if (!playing) return;
    const before = Math.floor(at);
    // The first frame's time may lie before play() was called: no frame -1.
    at = (at + Math.min(Math.max(now - last, 0), 250) / 1000 * fps * Number(speed.value)) % frames;
    last = now;
    if (Math.floor(at) !== before) draw();
    requestAnimationFrame(tick);
  }

  function play(on) {
    playing = on;
    toggle.textContent = on ? "Pause" : "Play";
    last = performance.now();
    if (on) requestAnimationFrame(tick);
  }

  function go(frame) {
    play(false);
    at = (frame + frames) % frames;
    draw();
  }

  window.addEventListener("load", () => {
    clips = Array.from(document.querySelectorAll("canvas"), (canvas) => ({
      canvas, sheet: canvas.previousElementSibling, pen: canvas.getContext("2d"), shown: -1,
      frames: Number(canvas.dataset.frames), columns: Number(canvas.dataset.columns),
    }));
    draw();
    for (const clip of clips) {
      clip.canvas.hidden = false;
      clip.sheet.hidden = true;
    }
    bar.hidden = clips.length === 0;
    toggle.addEventListener("click", () => play(!playing));
    bar.querySelector("[name=back]").addEventListener("click", () => go(Math.floor(at) - 1));
    bar.querySelector("[name=forward]").addEventListener("click", () => go(Math.floor(at) + 1));
    bar.querySelector("[name=pixels]").addEventListener("change", (event) => root.classList.toggle("pixels", event.target.checked));
    slider.addEventListener("input", () => go(Number(slider.value)));
    still.addEventListener("change", () => play(!still.matches));
    play(!still.matches);
    root.dataset.drawn = clips.length;
  });
})();
