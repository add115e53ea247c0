/** Strings of the prompt and its editor. */
import { plural, section } from './section.ts'

export const prompt = section({
  en: {
    prompt: 'Prompt',
    negative: 'Keep out',
    negativeHint: 'What the picture should not show',
    addNegative: 'Add what to keep out',
    placeholder: 'Describe a picture…',
    editorHelp:
      'Control and arrow up or down weighs the word at the cursor. Control and Enter draws. Tab leaves the editor.',
    tokens: (count: number) => plural('en', count, { one: 'token', other: 'tokens' }),
    chunks: (count: number) => plural('en', count, { one: 'chunk', other: 'chunks' }),
    tokensHint: (free: number) =>
      `The text encoder reads 75 tokens at a time; ${free} are free in the last chunk.`,
    chunk: (index: number) => `Chunk ${index} begins here: it is encoded apart from what is before it.`,
    inPieces: (word: string, pieces: string) =>
      `“${word}” is not in this model's vocabulary. It reads: ${pieces}`,
    unknown: (count: number) =>
      count === 1 ? '1 word the model does not know' : `${count} words the model does not know`,
    dialect: 'Way of writing',
    dialectHint: 'How weights are typed. Changing it rewrites your prompt so that it means the same.',
    law: 'What a weight does',
    lawOwn: 'As in that program',
    lawA1111: 'Scale, keep the mean',
    lawA1111NoNorm: 'Scale',
    lawComfy: 'Move away from the empty prompt',
    lawCompel: 'Blend with the prompt without the word',
    lawIgnore: 'Nothing',
    lawLogitBias: 'Look more often (attention scores)',
    lawValueGain: 'Speak louder (attention values)',
    problems: (count: number) => plural('en', count, { one: 'remark', other: 'remarks' }),
    at: (column: number) => `Column ${column}`,
    suggestions: 'Words this model knows',
    weighMore: 'Weigh more',
    weighLess: 'Weigh less',
    weight: (word: string) => `Weight of ${word}`,
    weighed: (word: string, weight: string) => `${word}: weight ${weight}`,
    cannotWeigh: 'This word cannot be weighed where it stands.',
    plainCannotWeigh: 'Plain text has no weights. Choose another way of writing below the prompt.',
    dragToWeigh: 'Drag up or down to weigh',
    long: 'This prompt is very long. It is cut into chunks; words far apart do not see each other.',
    lostInConversion: (count: number) =>
      `${plural('en', count, { one: 'thing has', other: 'things have' })} no form in that way of writing and changed.`,
  },
  de: {
    prompt: 'Prompt',
    negative: 'Fernhalten',
    negativeHint: 'Was das Bild nicht zeigen soll',
    addNegative: 'Ergänzen, was fernbleiben soll',
    placeholder: 'Beschreiben Sie ein Bild …',
    editorHelp:
      'Strg und Pfeil auf oder ab gewichtet das Wort am Cursor. Strg und Eingabe zeichnet. Tab verlässt den Editor.',
    tokens: count => plural('de', count, { one: 'Token', other: 'Tokens' }),
    chunks: count => plural('de', count, { one: 'Abschnitt', other: 'Abschnitte' }),
    tokensHint: free => `Der Textencoder liest 75 Tokens auf einmal; im letzten Abschnitt sind ${free} frei.`,
    chunk: index => `Hier beginnt Abschnitt ${index}: Er wird getrennt vom Text davor gelesen.`,
    inPieces: (word, pieces) => `„${word}“ steht nicht im Wortschatz dieses Modells. Es liest: ${pieces}`,
    unknown: count =>
      count === 1 ? '1 Wort, das das Modell nicht kennt' : `${count} Wörter, die das Modell nicht kennt`,
    dialect: 'Schreibweise',
    dialectHint:
      'Wie Gewichte getippt werden. Beim Wechsel wird der Prompt so umgeschrieben, dass er dasselbe bedeutet.',
    law: 'Was ein Gewicht tut',
    lawOwn: 'Wie in jenem Programm',
    lawA1111: 'Skalieren, Mittel behalten',
    lawA1111NoNorm: 'Skalieren',
    lawComfy: 'Vom leeren Prompt wegbewegen',
    lawCompel: 'Mit dem Prompt ohne das Wort mischen',
    lawIgnore: 'Nichts',
    lawLogitBias: 'Öfter hinsehen (Attention-Werte)',
    lawValueGain: 'Lauter sprechen (Attention-Inhalte)',
    problems: count => plural('de', count, { one: 'Hinweis', other: 'Hinweise' }),
    at: column => `Spalte ${column}`,
    suggestions: 'Wörter, die dieses Modell kennt',
    weighMore: 'Stärker gewichten',
    weighLess: 'Schwächer gewichten',
    weight: word => `Gewicht von ${word}`,
    weighed: (word, weight) => `${word}: Gewicht ${weight}`,
    cannotWeigh: 'Dieses Wort lässt sich an seiner Stelle nicht gewichten.',
    plainCannotWeigh:
      'Reiner Text kennt keine Gewichte. Wählen Sie unter dem Prompt eine andere Schreibweise.',
    dragToWeigh: 'Zum Gewichten auf- oder abwärts ziehen',
    long: 'Dieser Prompt ist sehr lang. Er wird in Abschnitte geteilt; ferne Wörter sehen einander nicht.',
    lostInConversion: count =>
      `${plural('de', count, { one: 'Stelle hat', other: 'Stellen haben' })} in jener Schreibweise keine Form und wurde geändert.`,
  },
})
