export type Child = Node | string | undefined;

/** An HTML element. Text becomes text nodes, never markup. `false` and undefined leave an attribute out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | number | boolean | undefined>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== false)
      element.setAttribute(name, value === true ? '' : String(value));
  for (const child of children) if (child !== undefined) element.append(child);
  return element;
}

/** An element of the page's frame. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no element ${id}`);
  return element as T;
}

export function on(id: string, event: string, listener: (event: Event) => void): void {
  byId(id).addEventListener(event, listener);
}
