/** Light or dark: as the system says, until the user says otherwise. */
export function toggleTheme(): void {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const present = root.dataset.theme ?? system;
  root.dataset.theme = present === 'dark' ? 'light' : 'dark';
}
