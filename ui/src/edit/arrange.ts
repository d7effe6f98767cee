// The grid of twenty-four columns while it is edited: nothing overlaps, and nothing floats above an empty place.

export interface Box { id: number; x: number; y: number; w: number; h: number }
export const columns = 24;

const meet = (a: Box, b: Box): boolean => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

/** Each box as high up as those before it let it be. `first` wins where two begin at the same height. */
export function packed(boxes: Box[], first?: number): Box[] {
  const order = [...boxes].sort((a, b) => a.y - b.y || Number(b.id === first) - Number(a.id === first) || a.x - b.x), placed: Box[] = [];
  for (const b of order) {
    const at = { ...b, w: Math.min(columns, Math.max(1, b.w)), h: Math.max(1, b.h) };
    at.x = Math.min(columns - at.w, Math.max(0, at.x));
    at.y = Math.max(0, at.y);
    for (let hit = placed.find((p) => meet(p, at)); hit; hit = placed.find((p) => meet(p, at))) at.y = hit.y + hit.h;
    while (at.y > 0 && !placed.some((p) => meet(p, { ...at, y: at.y - 1 }))) at.y--;
    placed.push(at);
  }
  const by = new Map(placed.map((p) => [p.id, p]));
  return boxes.map((b) => by.get(b.id) as Box);
}

/** One box put at another place, or made of another size; the others make room. */
export function moved(boxes: Box[], id: number, to: Partial<Box>): Box[] {
  return packed(boxes.map((b) => (b.id === id ? { ...b, ...to } : b)), id);
}

/** Where a new box of that size goes: below everything. */
export function below(boxes: Box[]): number {
  return boxes.reduce((y, b) => Math.max(y, b.y + b.h), 0);
}
