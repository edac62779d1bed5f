import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { DEFAULT_QUEUE, readPlan, unitsOf } from '../../campaign/index.js';
import { campaignCommand } from '../../cli/campaign.js';

const read = (name: string) =>
  readFileSync(
    fileURLToPath(new URL(`../../examples/campaign-on-kubernetes/${name}`, import.meta.url)),
    'utf8',
  );

const quantity = v.pipe(v.string(), v.regex(/^\d+(m|Mi|Gi)?$/));
const container = v.strictObject({
  name: v.string(),
  image: v.string(),
  command: v.optional(v.array(v.string())),
  args: v.optional(v.array(v.string())),
  ports: v.optional(v.array(v.strictObject({ containerPort: v.number() }))),
  resources: v.optional(v.strictObject({ requests: v.record(v.picklist(['cpu', 'memory']), quantity) })),
  volumeMounts: v.optional(v.array(v.strictObject({ name: v.string(), mountPath: v.string() }))),
});
const podSpec = v.strictObject({
  restartPolicy: v.optional(v.picklist(['Never', 'OnFailure'])),
  containers: v.pipe(v.array(container), v.minLength(1)),
  volumes: v.optional(v.array(v.looseObject({ name: v.string() }))),
});
const pod = v.strictObject({
  metadata: v.optional(v.strictObject({ labels: v.record(v.string(), v.string()) })),
  spec: podSpec,
});
const named = { metadata: v.strictObject({ name: v.pipe(v.string(), v.regex(/^[a-z0-9-]+$/)) }) };

/** What the API of Kubernetes and of KEDA takes of the fields that are used (kubernetes.io/docs/reference, keda.sh). */
const documents = v.variant('kind', [
  v.strictObject({
    apiVersion: v.literal('v1'),
    kind: v.literal('Service'),
    ...named,
    spec: v.strictObject({
      selector: v.record(v.string(), v.string()),
      ports: v.array(v.strictObject({ port: v.number() })),
    }),
  }),
  v.strictObject({
    apiVersion: v.literal('apps/v1'),
    kind: v.literal('StatefulSet'),
    ...named,
    spec: v.strictObject({
      serviceName: v.string(),
      replicas: v.number(),
      selector: v.strictObject({ matchLabels: v.record(v.string(), v.string()) }),
      template: pod,
      volumeClaimTemplates: v.array(v.looseObject({ metadata: v.strictObject({ name: v.string() }) })),
    }),
  }),
  v.strictObject({
    apiVersion: v.literal('batch/v1'),
    kind: v.literal('Job'),
    ...named,
    spec: v.strictObject({
      backoffLimit: v.optional(v.number()),
      backoffLimitPerIndex: v.optional(v.number()),
      completions: v.optional(v.number()),
      parallelism: v.optional(v.number()),
      completionMode: v.optional(v.picklist(['Indexed', 'NonIndexed'])),
      template: pod,
    }),
  }),
  v.strictObject({
    apiVersion: v.literal('keda.sh/v1alpha1'),
    kind: v.literal('ScaledJob'),
    ...named,
    spec: v.strictObject({
      jobTargetRef: v.strictObject({ template: pod }),
      pollingInterval: v.number(),
      maxReplicaCount: v.number(),
      triggers: v.array(
        v.strictObject({ type: v.literal('redis'), metadata: v.record(v.string(), v.string()) }),
      ),
    }),
  }),
]);

const OPTIONS = new Set(campaignCommand().options.map(({ long }) => long));
const ownOptions = (words: readonly string[]): string[] =>
  words.flatMap((text) => text.match(/(?<=^|\s)--[a-z-]+/g) ?? []);

describe.each(['queue.yaml', 'shares.yaml'])('%s', (name) => {
  const parsed: readonly { readonly errors: readonly unknown[]; toJS(): unknown }[] = [
    ...parseAllDocuments(read(name)),
  ];

  it('is YAML of what Kubernetes takes', () => {
    for (const document of parsed) {
      expect(document.errors).toEqual([]);
      const result = v.safeParse(documents, document.toJS());
      expect(result.issues?.map((issue) => `${v.getDotPath(issue)}: ${issue.message}`)).toBeUndefined();
    }
    expect(parsed.length).toBeGreaterThan(0);
  });

  it('mounts volumes that it has, and calls the command with options that there are', () => {
    const pods = parsed.flatMap((document): { claims: string[]; spec: v.InferOutput<typeof podSpec> }[] => {
      const { spec } = v.parse(documents, document.toJS());
      if ('jobTargetRef' in spec) return [{ claims: [], spec: spec.jobTargetRef.template.spec }];
      if (!('template' in spec)) return [];
      const claims =
        'volumeClaimTemplates' in spec ? spec.volumeClaimTemplates.map(({ metadata }) => metadata.name) : [];
      return [{ claims, spec: spec.template.spec }];
    });
    expect(pods.length).toBeGreaterThan(0);
    for (const { claims, spec } of pods) {
      const volumes = [...(spec.volumes ?? []).map((volume) => volume.name), ...claims];
      for (const { volumeMounts = [], args = [], image } of spec.containers) {
        for (const mount of volumeMounts) expect(volumes).toContain(mount.name);
        if (image.includes('hotpatch'))
          expect([...OPTIONS]).toEqual(expect.arrayContaining(ownOptions(args)));
      }
    }
  });
});

it('KEDA looks at the list in which units wait', () => {
  expect(read('queue.yaml')).toContain(`listName: "bull:${DEFAULT_QUEUE}:wait"`);
});

it('the Dockerfile is one', () => {
  const lines = read('Dockerfile')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const instructions = lines.map((line) => /^(FROM|RUN|WORKDIR|ARG|USER|ENTRYPOINT|CMD) \S/.exec(line)?.[1]);
  expect(instructions).not.toContain(undefined);
  expect(instructions[0]).toBe('FROM');
  const [command = '[]'] = lines.flatMap((line) => /^CMD (.*)$/.exec(line)?.[1] ?? []);
  const words = v.parse(v.array(v.string()), JSON.parse(command));
  expect(words[0]).toBe('work');
  expect([...OPTIONS]).toEqual(expect.arrayContaining(ownOptions(words)));
});

it('the plan is one, of units for a thousand processors and more', () => {
  const files = { has: () => false, add: () => ({ name: '', sha256: '', size: 0 }) };
  const units = [...unitsOf(readPlan(JSON.parse(read('nightly.json'))), files)];
  expect(units.length).toBeGreaterThan(1000);
});
