/** A worker that ends as native code would when a unit has case 7, hangs at case 11, and counts the others. */
process.on('message', ({ unit }) => {
  const [first, count] = [Number(unit.first), Number(unit.count)];
  const has = (number) => number >= first && number < first + count;
  if (has(7)) process.abort();
  if (has(11)) return;
  process.send({ outcome: { cases: count, counts: { counted: count }, findings: [] }, seconds: 0 });
});
process.on('disconnect', () => process.exit(0));
process.send({ ready: true });
