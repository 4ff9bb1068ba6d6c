export interface Column {
  title: string;
  /** Numbers are easier to compare with their ends in line. */
  right?: boolean;
}

/** Lines of a table for people: columns as wide as they need to be, no spaces at ends of lines. */
export function tableLines(columns: readonly Column[], rows: readonly string[][]): string[] {
  const lines = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, index) =>
    lines.reduce((most, cells) => Math.max(most, [...(cells[index] ?? '')].length), 0),
  );
  return lines.map((cells) =>
    columns
      .map(({ right = false }, index) => {
        const cell = cells[index] ?? '';
        const space = ' '.repeat((widths[index] ?? 0) - [...cell].length);
        return right ? space + cell : cell + space;
      })
      .join('  ')
      .trimEnd(),
  );
}
