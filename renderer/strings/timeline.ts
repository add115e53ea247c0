/** Strings of the timeline: what happens at which step. */
import { section } from './section.ts'

const two = (value: number, language: string): string =>
  value.toLocaleString(language, { maximumFractionDigits: 2 })

export const timeline = section({
  en: {
    title: 'Timeline',
    steps: 'Steps',
    switch: (before: string, after: string) => `${before} → ${after}`,
    switchHint: 'The prompt changes here. The handle moves the number in the brackets.',
    switchAt: (label: string) => `When ${label} changes`,
    until: (call: number, calls: number) =>
      call === 0 ? 'from the first step on' : call >= calls ? 'never' : `after step ${call} of ${calls}`,
    alternateHint: 'Another of these words at each step.',
    cross: 'words',
    crossHint: 'Here the words keep the places that they had in the first picture.',
    self: 'layout',
    selfHint: 'Here the layout is that of the first picture.',
    edit: 'Edit',
    curveHint:
      'How much the word weighs at each step. Drag points, double-click to add one, Delete removes it.',
    curveKey: (word: string, number: number) => `Weight of ${word}, point ${number}`,
    curveValue: (step: number, steps: number, weight: number) =>
      `step ${step} of ${steps}, weight ${two(weight, 'en')}`,
    curveRests: (word: string) => `“${word}” is not in the prompt: its curve rests.`,
    addCurve: (word: string) => `Move the weight of ${word} over the steps`,
    addPoint: (label: string) => `Add a point to ${label}`,
    removeRow: (label: string) => `Remove ${label} from the timeline`,
    painted: (word: string) => `Place of ${word}`,
    paintHint: 'The steps in which the painted place acts.',
    regions: 'Regions',
    regionsHint: 'The steps in which regions act.',
    guide: (number: number) => `Guide ${number}`,
    guideHint: 'The steps in which this guide acts.',
    startOf: (label: string) => `Start of ${label}`,
    endOf: (label: string) => `End of ${label}`,
    at: (call: number, calls: number) =>
      call === 0 ? 'before the first step' : call >= calls ? 'at the end' : `after step ${call} of ${calls}`,
    keepLayout: 'Change words, keep the picture',
    keepLayoutHint:
      'The next picture is drawn with the attention of this one: change words in the prompt, and everything else keeps its place.',
    layoutKept: 'Now change words in the prompt: everything else keeps its place.',
  },
  de: {
    title: 'Zeitleiste',
    steps: 'Schritte',
    switch: (before, after) => `${before} → ${after}`,
    switchHint: 'Hier wechselt der Prompt. Der Griff ändert die Zahl in den Klammern.',
    switchAt: label => `Wann ${label} wechselt`,
    until: (call, calls) =>
      call === 0 ? 'vom ersten Schritt an' : call >= calls ? 'nie' : `nach Schritt ${call} von ${calls}`,
    alternateHint: 'In jedem Schritt ein anderes dieser Wörter.',
    cross: 'Wörter',
    crossHint: 'Hier behalten die Wörter die Orte, die sie im ersten Bild hatten.',
    self: 'Aufbau',
    selfHint: 'Hier ist der Aufbau der des ersten Bildes.',
    edit: 'Änderung',
    curveHint:
      'Wie viel das Wort in jedem Schritt wiegt. Punkte ziehen, Doppelklick fügt einen hinzu, Entf löscht ihn.',
    curveKey: (word, number) => `Gewicht von ${word}, Punkt ${number}`,
    curveValue: (step, steps, weight) => `Schritt ${step} von ${steps}, Gewicht ${two(weight, 'de')}`,
    curveRests: word => `„${word}“ steht nicht im Prompt: Die Kurve ruht.`,
    addCurve: word => `Gewicht von ${word} über die Schritte bewegen`,
    addPoint: label => `Punkt zu ${label} hinzufügen`,
    removeRow: label => `${label} aus der Zeitleiste entfernen`,
    painted: word => `Ort von ${word}`,
    paintHint: 'Die Schritte, in denen der gemalte Ort wirkt.',
    regions: 'Bereiche',
    regionsHint: 'Die Schritte, in denen Bereiche wirken.',
    guide: number => `Vorlage ${number}`,
    guideHint: 'Die Schritte, in denen diese Vorlage wirkt.',
    startOf: label => `Beginn von ${label}`,
    endOf: label => `Ende von ${label}`,
    at: (call, calls) =>
      call === 0 ? 'vor dem ersten Schritt' : call >= calls ? 'am Ende' : `nach Schritt ${call} von ${calls}`,
    keepLayout: 'Wörter ändern, Bild behalten',
    keepLayoutHint:
      'Das nächste Bild wird mit der Aufmerksamkeit dieses Bildes gezeichnet: Ändern Sie Wörter im Prompt, alles andere behält seinen Ort.',
    layoutKept: 'Ändern Sie nun Wörter im Prompt: Alles andere behält seinen Ort.',
  },
})
