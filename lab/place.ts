import {
  assertArgument,
  assertOwn,
  ImageDomain,
  instanceOf,
  type Kernel,
  KernelError,
  type LoadedImage,
} from '../loader/index.js';

const DOMAIN = instanceOf(ImageDomain, 'a process, a session, a domain or the name of one');

/**
 * A part of the machine with memory and images of its own: a process, a session or VTL1, what holds one, or its name as
 * the transcript has it: `system`, `session 1`, `vtl1`, `mail.exe`, `mail.exe (16)`.
 */
export type Place = ImageDomain | { readonly domain: ImageDomain } | string;

/**
 * The domain of a place.
 * @throws KernelError `placeNotFound` when no place, `placeAmbiguous` when more than one has the name
 */
export function domainOf(kernel: Kernel, place: Place): ImageDomain {
  if (typeof place !== 'string') {
    const domain = place instanceof ImageDomain ? place : place?.domain;
    assertArgument(DOMAIN, domain, 'domain');
    assertOwn(kernel.machine, { domain }, 'domain');
    return domain;
  }
  const named = kernel.domains.filter(
    ({ name, process }) => name === place || (process !== undefined && process.name === place),
  );
  const [found, another] = named;
  const names = kernel.domains.map(({ name }) => name).join(', ');
  if (found === undefined)
    throw new KernelError({
      rule: 'placeNotFound',
      status: 'STATUS_NOT_FOUND',
      place: place,
      message: `there is no process, session or other place named '${place}'`,
      hint: `there are: ${names}`,
    });
  if (another !== undefined)
    throw new KernelError({
      rule: 'placeAmbiguous',
      status: 'STATUS_INVALID_PARAMETER',
      place: place,
      message: `${named.length} places are named '${place}'`,
      hint: `give the process itself, or one of: ${named.map(({ name }) => name).join(', ')}`,
    });
  return found;
}

/** `packets!Checksum+0x2`, `packets!HPAT[0].code`, `packets+0x1000` */
const LOCATION = /^(?<module>[^!+]+)(?:!(?<name>.+?))?(?:\+(?<offset>0x[0-9a-f]+|[0-9]+))?$/i;
const JUMP_HPAT = '__guard_retpoline_jump_hpat';
const SLOT = /^HPAT\[(?<index>\d+)\]\.(?<part>code|data)$/;

/**
 * The address that a location names, as `describe` writes it: a symbol or export, a slot of the Hotpatch Address Table,
 * the retpoline page, or an RVA.
 * @throws KernelError `moduleNotFound`, `symbolNotFound` or `location`
 */
export function addressOf(kernel: Kernel, location: string, place: Place | undefined): bigint {
  const { module = '', name, offset = '0' } = LOCATION.exec(location)?.groups ?? {};
  const domains = place === undefined ? kernel.domains : [domainOf(kernel, place)];
  const images = findImages(domains, module);
  const [image] = images;
  if (image === undefined)
    throw new KernelError({
      rule: 'moduleNotFound',
      status: 'STATUS_DLL_NOT_FOUND',
      place: location,
      message: `'${location}': no image named '${module}' is loaded`,
      hint: `there are: ${domains.flatMap(({ images }) => images.map(({ moduleName }) => moduleName)).join(', ') || 'none'}`,
    });
  const elsewhere = images.find(({ dllBase }) => dllBase !== image.dllBase);
  if (elsewhere !== undefined)
    throw new KernelError({
      rule: 'placeAmbiguous',
      status: 'STATUS_INVALID_PARAMETER',
      image: image.baseDllName,
      place: location,
      message: `'${location}': it lies at another address in ${elsewhere.domain.name} than in ${image.domain.name}`,
      hint: 'say where: { domain: process }',
    });
  return start(image, name, location) + BigInt(offset);
}

function start(image: LoadedImage, name: string | undefined, location: string): bigint {
  if (name === undefined) return image.dllBase;
  const slot = SLOT.exec(name)?.groups;
  if (slot !== undefined) {
    const { hpat } = image;
    if (hpat === undefined) throw absent(image, location, 'no Hotpatch Address Table');
    const index = Number(slot.index);
    const address = slot.part === 'code' ? hpat.codeSlot(index) : hpat.dataSlot(index);
    if (address === undefined) throw absent(image, location, 'no code slots, only pointers');
    return address;
  }
  if (name !== JUMP_HPAT && name !== 'retpoline') return image.symbol(name);
  const address = name === JUMP_HPAT ? image.jumpHpat : image.retpolinePage;
  if (address === undefined) throw absent(image, location, 'no retpoline page');
  return address;
}

function absent({ baseDllName }: LoadedImage, location: string, what: string): KernelError {
  return new KernelError({
    rule: 'location',
    status: 'STATUS_NOT_FOUND',
    image: baseDllName,
    place: location,
    message: `'${location}': the image has ${what}`,
    hint: 'the machine was booted without it: see the options of Lab.boot',
  });
}

function findImages(domains: readonly ImageDomain[], module: string): LoadedImage[] {
  const wanted = module.toLowerCase();
  return domains
    .flatMap(({ images }) => images)
    .filter(
      ({ moduleName, baseDllName }) =>
        moduleName.toLowerCase() === wanted || baseDllName.toLowerCase() === wanted,
    );
}
