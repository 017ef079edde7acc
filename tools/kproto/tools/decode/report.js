// The timeline of a report: rows of connections or partitions, a bar for each request or batch. Text is set as text only.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  // A request: places of its values.
  const CONN = 0, FROM = 1, LASTED = 2, API = 3, END = 4, FRAME = 5, ANSWER = 6, SIZE = 7, ANSWER_SIZE = 8, ERROR = 9, MORE = 10, FOUND = 11;
  // A batch: the request's number, partition, producer id, epoch, base sequence, count, size, error.
  const REQUEST = 0, PARTITION = 1, PRODUCER = 2, EPOCH = 3, BASE = 4, COUNT = 5, BYTES = 6, BATCH_ERROR = 7;
  const ANSWERED = 0, FAILED = 1;
  const HINT = "Point at a bar, or choose one. Dragging moves; + and -, or the wheel with Ctrl, zoom.";
  const ENDS = ["answered", "failed", "never answered", "open at the end", "no answer asked for"];
  const LANE = 9, LANES_MAX = 12, LABEL = 18, AXIS = 22, NEAR = 4;
  const scroll = document.getElementById("scroll"), room = document.getElementById("room");
  const canvas = scroll.querySelector("canvas"), pen = canvas.getContext("2d"), detail = document.getElementById("detail");
  const batchesOf = new Map();
  data.batches.forEach((batch, at) => {
    if (!batchesOf.has(batch[REQUEST])) batchesOf.set(batch[REQUEST], []);
    batchesOf.get(batch[REQUEST]).push(at);
  });

  let by = "conn", rows = [], height = 0, from = 0, to = data.span, chosen = null, hovered = null, colours = {}, planned = false;

  const until = (request) => request[LASTED] < 0 ? (request[END] === 3 ? data.span : request[FROM]) : request[FROM] + request[LASTED];

  // Rows, each with its bars in lanes, so that those in flight at once stand one below the other.
  function lay() {
    const names = by === "conn" ? data.conns : data.partitions;
    rows = names.map((name) => ({ name, bars: [], ends: [], top: 0, lanes: 1 }));
    const things = by === "conn" ? data.requests.map((_, at) => [at, -1]) : data.batches.map((batch, at) => [batch[REQUEST], at]);
    for (const [request, batch] of things) {
      const it = data.requests[request], start = it[FROM], stop = until(it);
      const row = rows[batch < 0 ? it[CONN] : data.batches[batch][PARTITION]];
      let lane = row.ends.findIndex((end) => end <= start);
      if (lane < 0) lane = row.ends.length < LANES_MAX ? row.ends.length : row.ends.indexOf(Math.min(...row.ends));
      row.ends[lane] = Math.max(stop, row.ends[lane] || 0);
      const failed = batch < 0 ? it[END] : it[END] === FAILED && !data.batches[batch][BATCH_ERROR] ? ANSWERED : it[END];
      row.bars.push({ row, request, batch, start, stop, lane, end: failed, found: it[FOUND] });
    }
    rows = rows.filter((row) => row.bars.length);
    if (by !== "conn") rows.sort((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }));
    height = AXIS;
    for (const row of rows) {
      row.top = height;
      row.lanes = Math.max(1, row.ends.length);
      height += LABEL + row.lanes * LANE + 8;
    }
  }

  function size() {
    const width = scroll.clientWidth, shown = Math.min(Math.max(height, 60), parseFloat(getComputedStyle(scroll).maxHeight) || 440);
    const dense = window.devicePixelRatio || 1;
    canvas.style.height = shown + "px";
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(shown * dense);
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    room.style.height = Math.max(0, height - shown) + "px";
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    colours = { ink: colour("--ink"), dim: colour("--dim"), line: colour("--line"), card: colour("--card"), hover: colour("--hover"),
      ends: [0, 1, 2, 3, 4].map((end) => colour("--e" + end)) };
    plan();
  }

  const plan = () => { if (!planned) { planned = true; requestAnimationFrame(draw); } };
  const x = (time) => (time - from) / (to - from) * scroll.clientWidth;
  const time = (pixel) => from + pixel / scroll.clientWidth * (to - from);

  function draw() {
    planned = false;
    const width = scroll.clientWidth, shown = canvas.clientHeight, top = scroll.scrollTop;
    pen.clearRect(0, 0, width, shown);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const ticks = steps(width);
    pen.strokeStyle = colours.line;
    pen.beginPath();
    for (const tick of ticks.at) { pen.moveTo(Math.round(x(tick)) + .5, AXIS); pen.lineTo(Math.round(x(tick)) + .5, shown); }
    pen.stroke();
    for (const row of rows) {
      const y = row.top - top;
      if (y > shown || y + LABEL + row.lanes * LANE + 8 < AXIS) continue;
      drawBars(row, y, width);
      pen.fillStyle = colours.dim;
      pen.fillText(row.name, 6, y + LABEL / 2 + 1, width - 12);
    }
    pen.fillStyle = colours.card;
    pen.fillRect(0, 0, width, AXIS);
    pen.fillStyle = colours.dim;
    for (const tick of ticks.at) {
      const words = span(tick, ticks.step), half = pen.measureText(words).width / 2;
      pen.fillText(words, Math.min(Math.max(x(tick) - half, 4), width - 2 * half - 4), AXIS / 2);
    }
  }

  // Trouble comes last, so that nothing is painted over it.
  function drawBars(row, y, width) {
    const taken = [];
    for (const trouble of [false, true]) for (const bar of row.bars) {
      if (bar.stop < from || bar.start > to || (bar.found || bar.end !== ANSWERED) !== trouble) continue;
      const left = Math.max(x(bar.start), -2), right = Math.min(x(bar.stop), width + 2), top = y + LABEL + bar.lane * LANE;
      if (!trouble && right < (taken[bar.lane] ?? -1)) continue; // the same pixel again
      if (!trouble) taken[bar.lane] = Math.max(right, left + 1);
      pen.fillStyle = colours.ends[bar.end];
      pen.fillRect(left, top, Math.max(right - left - (right - left > 4 ? 1 : 0), trouble ? 2.5 : 1.5), LANE - 2);
      if (bar.found) mark(left, top);
    }
    for (const bar of [hovered, chosen]) {
      if (!bar || bar.row !== row) continue;
      pen.strokeStyle = colours.hover;
      pen.lineWidth = 2;
      pen.strokeRect(x(bar.start) - 1, y + LABEL + bar.lane * LANE - 1, Math.max(x(bar.stop) - x(bar.start), 1.5) + 2, LANE);
      pen.lineWidth = 1;
    }
  }

  // Something was found here.
  function mark(left, top) {
    pen.fillStyle = colours.ends[FAILED];
    pen.beginPath();
    pen.moveTo(left - 3.5, top - 5);
    pen.lineTo(left + 4.5, top - 5);
    pen.lineTo(left + .5, top + 1);
    pen.fill();
  }

  // Where the axis is marked: 1, 2 or 5 times a power of ten apart.
  function steps(width) {
    const least = (to - from) / Math.max(2, width / 110), ten = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 5, 10].map((times) => times * ten).find((each) => each >= least) || ten * 10;
    const at = [];
    for (let tick = Math.ceil(from / step) * step; tick <= to && at.length < 100; tick += step) at.push(tick);
    return { step, at };
  }

  function span(us, step) {
    const [unit, name] = step >= 1e6 ? [1e6, "s"] : step >= 1e3 ? [1e3, "ms"] : [1, "µs"];
    const digits = step >= unit ? 0 : Math.min(3, Math.ceil(Math.log10(unit / step)));
    return (us / unit).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace(/^-0$/, "0") + " " + name;
  }

  const bytes = (many) => many >= 1e6 ? (many / 1e6).toFixed(1) + " MB" : many >= 1e3 ? (many / 1e3).toFixed(1) + " kB" : many + " B";

  function describe(bar) {
    if (!bar) { detail.textContent = HINT; return; }
    const it = data.requests[bar.request];
    const lasted = it[LASTED] < 0 ? "" : `, ${(it[LASTED] / 1000).toLocaleString("en", { maximumFractionDigits: 3 })} ms`;
    const answer = it[ANSWER] ? `, answer in frame ${it[ANSWER]} (${bytes(it[ANSWER_SIZE])})` : "";
    const lines = [
      `${data.apis[it[API]]}: frame ${it[FRAME]} (${bytes(it[SIZE])})${answer}${lasted}, ${ENDS[it[END]]}${it[ERROR] ? ": " + data.errors[it[ERROR]] : ""}${it[FOUND] ? " (see the findings)" : ""}`,
      `${new Date((data.origin + it[FROM]) / 1000).toISOString()} (+${(it[FROM] / 1000).toLocaleString("en")} ms), connection ${data.conns[it[CONN]]}`,
    ];
    const carried = batchesOf.get(bar.request) || [];
    for (const at of bar.batch < 0 ? carried.slice(0, 6) : [bar.batch]) {
      const batch = data.batches[at], last = (batch[BASE] + batch[COUNT] - 1) % 2147483648;
      const who = batch[PRODUCER] < 0 ? "no producer id" : `producer ${batch[PRODUCER]} epoch ${batch[EPOCH]}, sequences ${batch[BASE]}-${last}`;
      lines.push(`${data.partitions[batch[PARTITION]]}: ${batch[COUNT]} records, ${bytes(batch[BYTES])}, ${who}${batch[BATCH_ERROR] ? ", " + data.errors[batch[BATCH_ERROR]] : ""}`);
    }
    const more = it[MORE] + (bar.batch < 0 ? Math.max(0, carried.length - 6) : 0);
    if (more) lines.push(`and ${more} more batches`);
    detail.textContent = lines.join("\n");
  }

  function find(event) {
    const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    if (py < AXIS) return null;
    const y = py + scroll.scrollTop;
    let best = null, near = NEAR + .01;
    for (const row of rows) {
      if (y < row.top || y >= row.top + LABEL + row.lanes * LANE + 8) continue;
      const lane = Math.floor((y - row.top - LABEL) / LANE);
      for (const bar of row.bars) {
        if (Math.abs(bar.lane - lane) > 0) continue;
        const far = Math.max(x(bar.start) - px, px - Math.max(x(bar.stop), x(bar.start) + 1.5), 0);
        if (far < near || (far === near && bar.end !== ANSWERED)) { best = bar; near = far; }
      }
    }
    return best;
  }

  function zoom(factor, pixel) {
    const middle = time(pixel ?? scroll.clientWidth / 2), wide = Math.min(data.span * 1.05, Math.max(20, (to - from) * factor));
    const share = (middle - from) / (to - from);
    move(middle - share * wide, wide);
  }

  function move(start, wide) {
    from = Math.min(Math.max(start, -data.span * .02), Math.max(data.span * 1.03 - wide, -data.span * .02));
    to = from + wide;
    plan();
  }

  function whole() { from = -data.span * .01; to = data.span * 1.02; plan(); }

  // A link to a frame: the bar that it asks or answers, in the middle.
  function follow() {
    const match = /^#frame-([0-9]+)$/.exec(location.hash);
    if (!match) return;
    const number = Number(match[1]);
    for (const row of rows) for (const bar of row.bars) {
      const it = data.requests[bar.request];
      if (it[FRAME] !== number && it[ANSWER] !== number) continue;
      chosen = bar;
      const wide = Math.min(to - from, Math.max(20, (bar.stop - bar.start) * 12));
      move((bar.start + bar.stop) / 2 - wide / 2, wide);
      scroll.scrollTop = row.top + bar.lane * LANE - canvas.clientHeight / 2;
      describe(bar);
      document.getElementById("timeline").scrollIntoView({ block: "nearest" });
      return;
    }
    detail.textContent = `Frame ${number} is not among the bars that are drawn.`;
    document.getElementById("timeline").scrollIntoView({ block: "nearest" });
  }

  let grabbed = null;
  scroll.addEventListener("pointerdown", (event) => { grabbed = { x: event.clientX, from, moved: false }; });
  window.addEventListener("pointermove", (event) => {
    if (!grabbed) return;
    const moved = event.clientX - grabbed.x;
    if (Math.abs(moved) > 3) grabbed.moved = true;
    if (grabbed.moved) move(grabbed.from - moved / scroll.clientWidth * (to - from), to - from);
  });
  window.addEventListener("pointercancel", () => { grabbed = null; });
  window.addEventListener("pointerup", (event) => {
    if (grabbed && !grabbed.moved && scroll.contains(event.target)) { chosen = find(event); describe(chosen); plan(); }
    grabbed = null;
  });
  scroll.addEventListener("pointermove", (event) => {
    if (grabbed && grabbed.moved) return;
    const found = find(event);
    if (found === hovered) return;
    hovered = found;
    describe(hovered || chosen);
    plan();
  });
  scroll.addEventListener("pointerleave", () => { hovered = null; describe(chosen); plan(); });
  scroll.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : .8, event.clientX - canvas.getBoundingClientRect().left);
  }, { passive: false });
  scroll.addEventListener("scroll", plan);
  scroll.addEventListener("keydown", (event) => {
    const step = (to - from) / 8;
    if (event.key === "ArrowLeft") move(from - step, to - from);
    else if (event.key === "ArrowRight") move(from + step, to - from);
    else if (event.key === "+") zoom(.6);
    else if (event.key === "-") zoom(1.6);
    else if (event.key === "0") whole();
    else return;
    event.preventDefault();
  });
  document.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => {
    if (button.dataset.zoom === "all") whole(); else zoom(button.dataset.zoom === "in" ? .5 : 2);
  }));
  document.querySelectorAll("[data-by]").forEach((button) => button.addEventListener("click", () => {
    by = button.dataset.by;
    document.querySelectorAll("[data-by]").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
    hovered = chosen = null;
    scroll.scrollTop = 0;
    lay();
    size();
    describe(null);
  }));
  window.addEventListener("hashchange", follow);
  window.addEventListener("resize", size);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", size);
  lay();
  whole();
  size();
  describe(null);
  follow();
})();
