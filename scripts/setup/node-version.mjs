// Plain old syntax on purpose: this file must also run on the Node.js that it refuses.
export const lowest = [20, 19];

export function isNewEnough(version) {
  const parts = version.split('.').map(Number);
  return parts[0] > lowest[0] || (parts[0] === lowest[0] && parts[1] >= lowest[1]);
}

export function requireNode() {
  if (isNewEnough(process.versions.node)) return;
  console.error(`Rowsmith needs Node.js ${lowest.join('.')} or newer; this is ${process.versions.node}.`);
  console.error('  Repair: install a newer Node.js, for example with `npx node@22 scripts/setup.mjs`, nvm, fnm or your package manager.');
  process.exit(1);
}
