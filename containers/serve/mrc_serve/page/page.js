// Sends an image to /invocations once, with threshold 0; the slider then only selects what is drawn.

const element = (id) => document.getElementById(id);
const [stage, image, masks, boxes] = ["stage", "image", "masks", "boxes"].map(element);
const SVG = "http://www.w3.org/2000/svg";
const MASK_OPACITY = 110; // of 255
const MIN_EDGE = 640; // pixels on the screen; smaller images are enlarged, so that captions can be read

let answer = null;
let latest = 0; // number of the newest image; answers for older ones are ignored

// The colours of mrc-predict's drawings: hues advance by the golden ratio.
function colour(categoryId) {
  const hue = (0.58 + (categoryId - 1) * 0.618034) % 1;
  return `hsl(${(hue * 360).toFixed(1)} 100% 62%)`;
}

function rgb(text) {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}

// COCO's compressed run lengths, column by column (rleFrString in COCO's maskApi.c).
function runLengths(counts) {
  const runs = [];
  for (let position = 0; position < counts.length; ) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const bits = counts.charCodeAt(position++) - 48;
      value |= (bits & 0x1f) << shift;
      more = (bits & 0x20) !== 0;
      shift += 5;
      if (!more && bits & 0x10) value |= -1 << shift;
    }
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

function paint(pixels, { size: [height, width], counts }, [red, green, blue]) {
  let index = 0, inside = false;
  for (const run of runLengths(counts)) {
    if (inside) {
      for (let i = index; i < index + run; i++) {
        const offset = 4 * ((i % height) * width + Math.floor(i / height));
        pixels.set([red, green, blue, MASK_OPACITY], offset);
      }
    }
    index += run;
    inside = !inside;
  }
}

function node(name, attributes, text = "") {
  const created = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
  created.textContent = text;
  return created;
}

function drawBoxes(shown) {
  const size = Math.max(answer.width, answer.height) / 45;
  boxes.setAttribute("viewBox", `0 0 ${answer.width} ${answer.height}`);
  boxes.replaceChildren(...shown.map(({ category, category_id, score, bbox: [x, y, width, height] }) => {
    const group = node("g", { class: "detection" });
    const stroke = colour(category_id);
    group.append(node("rect", { x, y, width, height, stroke }));
    const style = { x: x + size / 5, y: Math.max(y - size / 4, size), fill: stroke, "font-size": size, "stroke-width": size / 5 };
    group.append(node("text", style, `${category} ${score.toFixed(2)}`));
    return group;
  }));
}

function drawMasks(shown) {
  masks.width = answer.width;
  masks.height = answer.height;
  const context = masks.getContext("2d");
  const layer = context.createImageData(answer.width, answer.height);
  for (const detection of [...shown].reverse()) {
    if (detection.segmentation) paint(layer.data, detection.segmentation, rgb(colour(detection.category_id)));
  }
  context.putImageData(layer, 0, 0);
}

function listItem({ category, category_id, score }, index) {
  const item = document.createElement("li");
  const [swatch, name, number] = ["swatch", "name", "score"].map((kind) => {
    const part = document.createElement("span");
    part.className = kind;
    return part;
  });
  swatch.style.background = colour(category_id);
  name.textContent = category;
  number.textContent = score.toFixed(2);
  item.append(swatch, name, number);
  item.onmouseenter = () => [...boxes.children].forEach((group, i) => group.classList.toggle("faded", i !== index));
  item.onmouseleave = () => [...boxes.children].forEach((group) => group.classList.remove("faded"));
  return item;
}

function show() {
  const threshold = Number(element("threshold").value);
  element("threshold-value").value = threshold.toFixed(2);
  if (!answer) return;
  const shown = answer.detections.filter(({ score }) => score >= threshold);
  drawMasks(shown);
  drawBoxes(shown);
  element("list").replaceChildren(...shown.map(listItem));
  element("json").textContent = JSON.stringify({ ...answer, threshold, detections: shown }, null, 1);
  say(`${shown.length} of ${answer.detections.length} detections; ${answer.width} × ${answer.height} pixels; ${answer.seconds} s`);
}

function say(text, isError = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
}

async function detect(file) {
  const number = ++latest;
  answer = null;
  stage.hidden = false;
  element("hint").hidden = true;
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  boxes.replaceChildren();
  masks.width = masks.height = 0;
  element("list").replaceChildren();
  element("json").textContent = "";
  say(`${file.name}: detecting …`);
  const started = performance.now();
  try {
    const response = await fetch("invocations?threshold=0", { method: "POST", body: file });
    const content = await response.json();
    if (number !== latest) return;
    if (!response.ok) throw new Error(content.error);
    answer = { ...content, seconds: ((performance.now() - started) / 1000).toFixed(2) };
    show();
  } catch (error) {
    if (number === latest) say(`${file.name}: ${error.message}`, true);
  }
}

image.onload = () => {
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const factor = Math.max(1, Math.ceil(MIN_EDGE / Math.max(width, height)));
  image.style.width = `min(${width * factor}px, ${((82 * width) / height).toFixed(2)}vh)`;
};
element("threshold").oninput = show;
element("file").onchange = ({ target }) => { if (target.files.length) detect(target.files[0]); target.value = ""; };
document.ondragover = (event) => { event.preventDefault(); element("drop").classList.add("over"); };
document.ondragleave = () => element("drop").classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) detect(file);
};
