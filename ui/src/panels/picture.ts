// A chart as a picture: its canvas with the title above and the series below, on the panel's own ground. Made without any image address,
// which the policy would refuse.

/** null when the panel has no canvas: what is drawn as elements has no picture of itself. */
export async function pictureOf(panel: HTMLElement, title: string): Promise<Blob | null> {
  const canvas = panel.querySelector('canvas');
  if (!canvas || !canvas.width) return null;
  const scale = canvas.width / (canvas.clientWidth || canvas.width), style = getComputedStyle(panel), root = getComputedStyle(document.documentElement), pad = 12, width = canvas.clientWidth + 2 * pad;
  const names = [...panel.querySelectorAll<HTMLElement>('button.series:not(.off)')].slice(0, 60).map((b) => ({ color: b.querySelector<HTMLElement>('.swatch')?.style.background || '#888', text: [...b.querySelectorAll('.name, .num')].map((x) => x.textContent).join('  ') }));
  const out = document.createElement('canvas'), ctx = out.getContext('2d');
  if (!ctx) return null;
  const font = (size: number, weight = 400): string => `${weight} ${size}px ${style.fontFamily}`;
  ctx.font = font(12);
  // The series in lines as wide as the picture.
  const rows: { x: number; y: number; color: string; text: string }[] = [];
  let x = pad, y = 0;
  for (const n of names) {
    const w = ctx.measureText(n.text).width + 30;
    if (x + w > width - pad && x > pad) { x = pad; y += 18; }
    rows.push({ x, y, ...n });
    x += w;
  }
  const top = title ? 34 : pad, foot = rows.length ? y + 30 : pad;
  out.width = Math.round(width * scale);
  out.height = Math.round((top + canvas.clientHeight + foot) * scale);
  ctx.scale(scale, scale);
  ctx.fillStyle = root.getPropertyValue('--panel').trim() || '#fff';
  ctx.fillRect(0, 0, width, out.height);
  ctx.fillStyle = style.color;
  ctx.font = font(14, 600);
  if (title) ctx.fillText(title, pad, 22, width - 2 * pad);
  ctx.drawImage(canvas, pad, top, canvas.clientWidth, canvas.clientHeight);
  ctx.font = font(12);
  for (const r of rows) {
    const at = top + canvas.clientHeight + 20 + r.y;
    ctx.fillStyle = r.color;
    ctx.fillRect(r.x, at - 6, 12, 4);
    ctx.fillStyle = style.color;
    ctx.fillText(r.text, r.x + 17, at);
  }
  return new Promise((done) => out.toBlob(done, 'image/png'));
}
