import type { Fact } from './facts.js';

export interface LessonStep {
  /** Words between grave accents are code. */
  readonly text: string;
  readonly when: Fact;
}

export interface Lesson {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  readonly steps: readonly LessonStep[];
  readonly end: string;
}

/** The six lessons of docs/lessons, as things to do: the machine sees when they are done. */
export const LESSONS: readonly Lesson[] = [
  {
    id: 'first',
    title: '1 The first hotpatch',
    about:
      'A machine has loaded the program at the left and is about to call `Sum 3`: it should add three readings, and adds four. Mend it while it runs.',
    steps: [
      {
        text: 'Press **Line** until the thread stands in the loop. The line that it is about to execute is marked.',
        when: 'inside',
      },
      { text: 'In the source at the right, change `i <= count` to `i < count`.', when: 'changed' },
      {
        text: 'Press **Build & apply**. The thread still stands inside the old function.',
        when: 'applied-inside',
      },
      { text: 'Press **Run**: the call ends where it began, in old code, with 90.', when: 'ended-old' },
      { text: 'Press **Call**, then **Run**: the next call is new, and returns 80.', when: 'ended-new' },
    ],
    end: 'Nothing was stopped, and nothing restarted. Step through the second call by **Instruction** to see its way.',
  },
  {
    id: 'both',
    title: '2 Old and new at once',
    about:
      'A hotpatch moves no thread. Who is inside an old function finishes there, while others call the new one. Apply the hotpatch of lesson 1 with a thread inside.',
    steps: [
      { text: 'Step into the loop, and **Build & apply** the fix.', when: 'applied-inside' },
      {
        text: 'Press **Call**: a second thread, on the other processor. Choose it in the list, and step by **Instruction** over the jump at the entry.',
        when: 'on-the-way',
      },
      {
        text: 'Go on until one thread is in old code and one in new. With `Sum 200` in the first call there is time.',
        when: 'old-and-new',
      },
      { text: 'Press **Run** and compare what they return.', when: 'ended-old' },
    ],
    end: 'Both counted in the same variable: call `Calls`.',
  },
  {
    id: 'backward',
    title: '3 Back into the base',
    about:
      'The patch image has a copy of every function that patched code needs, but an unchanged one must not run twice. Its copy leads back to the base: backward application.',
    steps: [
      { text: 'Apply the fix, and call `Sum 3`.', when: 'applied' },
      { text: 'Step **Into** the new `Sum`, up to the line that calls `Scale`.', when: 'in-new' },
      {
        text: 'Step **Into** once more: you are in `Scale` of the base, called by new code.',
        when: 'new-calls-base',
      },
    ],
    end: 'The hotpatch address table of the patch image has a slot for it.',
  },
  {
    id: 'refused',
    title: '4 What cannot be patched',
    about: 'A hotpatch replaces code. It cannot change what the running program has in memory.',
    steps: [
      {
        text: 'At the right, give `calls` another type: `static long long calls;`. **Build & apply** marks the line.',
        when: 'refused',
      },
      { text: 'Put it back, change the code instead, and build.', when: 'patched' },
    ],
    end: 'The rules are in docs/toolchain.md; `hotpatch check` and `hotpatch build` speak of them too.',
  },
  {
    id: 'rollback',
    title: '5 Back, and taken back',
    about: 'Two ways back: time, for whoever learns; and the undo table, for a system that runs.',
    steps: [
      { text: 'Apply the fix with a thread inside.', when: 'applied-inside' },
      {
        text: 'Press **Back a line** until before the patch, or **Rewind**: the entry is as it was.',
        when: 'went-back',
      },
      { text: 'From there, apply it at another moment.', when: 'other-way' },
      {
        text: 'Press **Revert**: the undo table puts the entry back, at the price of nothing.',
        when: 'reverted',
      },
    ],
    end: 'Who was in new code then, finishes there.',
  },
  {
    id: 'order',
    title: '6 The order of stores',
    about:
      'The engine stores slot, then padding, then entry. Explore runs every order of its stores and of the instructions of a call.',
    steps: [
      { text: 'Build the fix, and press **Explore** with the stores of Windows.', when: 'explored' },
      {
        text: 'Choose `padding-after-entry`, and explore again: find the shortest way into trouble.',
        when: 'explored-broken',
      },
    ],
    end: 'With two processors and weak fetch, try `no-serialisation`.',
  },
];
