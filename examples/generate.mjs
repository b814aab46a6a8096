/**
 * Writes train.jsonl, valid.jsonl and prompts.json: a joiner's orders in free English, answered by one line of JSON.
 * node examples/generate.mjs [folder]. The same bytes on every machine: the files in this folder are what this script writes.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const seed = 20251n;
const trainRows = 360;
const validRows = 40;

/** SplitMix64's output function (Steele, Lea, Flood 2014) of seed and counter: draw n needs no draw before it. */
function random64(counter) {
  const mask = (1n << 64n) - 1n;
  let z = (seed * 0xd1342543de82ef95n + (counter + 1n) * 0x9e3779b97f4a7c15n) & mask;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
  return z ^ (z >> 31n);
}

const items = [
  ['shelf', 'shelves'],
  ['door', 'doors'],
  ['bench', 'benches'],
  ['table top', 'table tops'],
  ['drawer', 'drawers'],
  ['tray', 'trays'],
  ['frame', 'frames'],
  ['box', 'boxes'],
  ['panel', 'panels'],
  ['board', 'boards'],
  ['stool', 'stools'],
  ['crate', 'crates'],
  ['desk', 'desks'],
  ['lid', 'lids'],
  ['shutter', 'shutters'],
  ['plank', 'planks'],
];
const woods = ['oak', 'pine', 'ash', 'walnut', 'beech', 'cherry', 'maple', 'birch', 'elm', 'larch', 'teak', 'cedar'];
const words = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve'];
const days = [
  ['Monday', 'mon'],
  ['Tuesday', 'tue'],
  ['Wednesday', 'wed'],
  ['Thursday', 'thu'],
  ['Friday', 'fri'],
  ['Saturday', 'sat'],
];
/** What the customer says after the thing, and what goes into the order. */
const finishes = [
  ['oiled', 'oil'],
  ['with an oil finish', 'oil'],
  ['waxed', 'wax'],
  ['with a coat of wax', 'wax'],
  ['painted white', 'white'],
  ['in white paint', 'white'],
  ['left raw', 'none'],
  ['no finish', 'none'],
];
const sizes = [(w, h) => `${w} by ${h} cm`, (w, h) => `${w} x ${h} cm`, (w, h) => `${w} cm by ${h}`, (w, h) => `${w}x${h}`];
const templates = [
  'Please make {n} {wood} {item}, {size}, {finish}, by {day}.',
  'Hi, I need {n} {item} in {wood}, {size}, {finish}. {day} would be fine.',
  '{day} at the latest: {n} {wood} {item}, {finish}, {size}.',
  'Could you build {n} {item} for us? {wood}, {size}, {finish}, for {day}.',
  'Order for {day}: {n} {item}, {size}, {wood}, {finish}.',
  'We would like {n} {wood} {item} of {size}, {finish}, before {day}.',
  'My shop wants {n} {item} ({size}) made of {wood}, {finish}, ready {day}.',
  'Can I have {n} {wood} {item} on {day}? {size}, {finish}, please.',
  '{n} {item}, {wood}, {finish}. Size {size}. I pick up on {day}.',
  "Hello! It's {size} this time: {n} {wood} {item}, {finish}, {day}.",
  'For the kitchen, {n} {item} {size} from {wood}, {finish}; we come {day}.',
  'Put me down for {n} {wood} {item}, {finish}, {size}, due {day}.',
];

const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** The order number `index`: draws 16 * index to 16 * index + 15. */
function order(index) {
  let counter = BigInt(index) * 16n;
  const below = (n) => Number(random64(counter++) % BigInt(n));
  const pick = (list) => list[below(list.length)];
  const [one, many] = pick(items);
  const wood = pick(woods);
  const count = 1 + below(words.length);
  const number = pick([words[count - 1], words[count - 1], String(count)]);
  const width = 10 * (3 + below(18));
  const height = 5 * (4 + below(12));
  const [finishSaid, finish] = pick(finishes);
  const [day, due] = pick(days);
  const said = { n: number, item: count === 1 ? one : many, wood, size: pick(sizes)(width, height), finish: finishSaid, day };
  const text = pick(templates).replace(/\{(\w+)\}/g, (_, slot) => said[slot]);
  const sentence = text.replace(/(^|[.?!] )([a-z])/g, (_, before, letter) => before + letter.toUpperCase());
  return { question: capital(sentence), answer: JSON.stringify({ item: one, wood, qty: count, cm: [width, height], finish, due }) };
}

const seen = new Set();
const rows = [];
for (let index = 0; rows.length < trainRows + validRows; index++) {
  const row = order(index);
  // An answer occurs once, so that no held-out order is one of the training set in other words.
  if (seen.has(row.answer)) continue;
  seen.add(row.answer);
  rows.push(row);
}
const chat = ({ question, answer }) =>
  `${JSON.stringify({
    messages: [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ],
  })}\n`;

const folder = process.argv[2] ?? dirname(fileURLToPath(import.meta.url));
mkdirSync(folder, { recursive: true });
const held = rows.slice(trainRows);
writeFileSync(join(folder, 'train.jsonl'), rows.slice(0, trainRows).map(chat).join(''));
writeFileSync(join(folder, 'valid.jsonl'), held.map(chat).join(''));
writeFileSync(
  join(folder, 'prompts.json'),
  `${JSON.stringify(
    held.slice(0, 4).map(({ question }) => question),
    null,
    2,
  )}\n`,
);
