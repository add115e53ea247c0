/** What a draft takes in: names in the request, what is sent and what is not, records back to drafts. */
import { afterEach, describe, expect, it } from 'vitest'
import { guidesSchema } from '../../model/contract/guides.ts'
import { drawInputsSchema } from '../../model/contract/inputs.ts'
import { drawInputsOf, type GuideDraft, namedGuides, setGuideCheck } from '../../renderer/state/inputs.ts'
import { emptyDraft, requestInput } from '../../renderer/state/request.ts'

const key = (sign: string) => sign.repeat(64)
const guide = (more: Partial<GuideDraft> = {}): GuideDraft => ({
  id: 'card',
  net: { id: '/models/canny', name: 'canny' },
  picture: { key: key('a'), name: 'photo.png', width: 10, height: 10 },
  preprocessor: { name: 'canny', options: {} },
  weight: 0.8,
  start: 0,
  end: 0.6,
  mode: 'balanced',
  resize: 'crop',
  enabled: true,
  ...more,
})
const source = { key: key('b'), name: 'mine.png', width: 20, height: 10, fit: 'crop', strength: 0.4 } as const

afterEach(() => setGuideCheck(() => false))

describe('guides of a draft', () => {
  it('get names that tell nets and hints apart, and share what is the same', () => {
    const { guides, nets, images } = namedGuides([
      guide(),
      guide({ weight: 0.3 }),
      guide({ net: { id: '/others/canny', name: 'canny' }, preprocessor: undefined }),
      guide({ preprocessor: { name: 'canny', options: { low: 20 } } }),
    ])
    expect(guides.map(({ model, image }) => [model, image])).toEqual([
      ['canny', 'canny@photo.png'],
      ['canny', 'canny@photo.png'],
      ['canny (2)', 'photo.png'],
      ['canny', 'canny@photo.png (2)'],
    ])
    expect([...nets.keys()]).toEqual(['canny', 'canny (2)'])
    expect(images.size).toBe(3)
    expect(guidesSchema.safeParse(guides).success).toBe(true)
  })

  it.each([
    ['switched off', { enabled: false }],
    ['without a network', { net: undefined }],
    ['without a picture', { picture: undefined }],
    ['without weight', { weight: 0 }],
  ])('is not sent %s', async (_, more) => {
    expect(namedGuides([guide(more)]).guides).toEqual([])
    expect(
      await drawInputsOf({ source: undefined, inpaint: undefined, guides: [guide(more)] }),
    ).toBeUndefined()
  })

  it('is not sent where its card says that it does not act', () => {
    setGuideCheck(({ net }) => net?.id === '/models/canny')
    const other = guide({ net: { id: '/others/canny', name: 'canny' } })
    expect(namedGuides([guide(), other]).guides).toHaveLength(1)
  })
})

describe('a draft', () => {
  it('has the source’s strength in its request, and its pictures beside it', async () => {
    const draft = { ...emptyDraft, prompt: 'a car', source, guides: [guide()] }
    expect(requestInput(draft, '1')).toMatchObject({
      strength: 0.4,
      guides: [{ model: 'canny', image: 'canny@photo.png', weight: 0.8, end: 0.6 }],
    })
    expect(requestInput(emptyDraft, '1')).not.toHaveProperty('strength')
    const inputs = await drawInputsOf(draft)
    expect(drawInputsSchema.parse(inputs)).toEqual({
      init: { key: key('b'), name: 'mine.png', fit: 'crop' },
      nets: { canny: '/models/canny' },
      images: {
        'canny@photo.png': {
          key: key('a'),
          name: 'photo.png',
          preprocessor: { name: 'canny', options: {} },
        },
      },
    })
  })

  it('takes no mask without a source', async () => {
    const mask = { width: 1, height: 1, data: new Uint8Array([255]) }
    const inpaint = { mask, feather: 0, content: 'original' } as const
    expect(await drawInputsOf({ source: undefined, inpaint, guides: [] })).toBeUndefined()
    expect(drawInputsSchema.safeParse({ mask: { key: key('c') } }).success).toBe(false)
  })
})
