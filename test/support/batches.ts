/** Asks of all items, some side by side: a machine with few processors gains nothing from more. Answers in their order. */
export async function inBatches<Item, Answer>(
  items: readonly Item[],
  ask: (item: Item, index: number) => Promise<Answer>,
  size = 6,
): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  for (let first = 0; first < items.length; first += size) {
    answers.push(
      ...(await Promise.all(items.slice(first, first + size).map((item, index) => ask(item, first + index)))),
    );
  }
  return answers;
}
