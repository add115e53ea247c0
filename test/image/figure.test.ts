import { describe, expect, it } from 'vitest'
import { drawMatrix, type MatrixFigure, niceTicks } from '../../model/image/figure.ts'
import { pixelText, pixelTextWidth } from '../../model/image/pixel-font.ts'

const figure: MatrixFigure = {
  title: 'a <b> & "c"',
  rowLabels: ['cat', '</w>'],
  columnLabels: ['chat', 'noir', ' '],
  rowTitle: 'target token',
  columnTitle: 'source token',
  data: Float32Array.of(0, 0.5, 1, 1, 0.5, 0),
  columns: 3,
  range: { low: 0, high: 1 },
  barTitle: 'probability',
  colormap: 'grey',
}

describe('a matrix as a figure', () => {
  it('draws a rectangle per cell, escapes every label and stays inside its page', () => {
    const { svg, width, height } = drawMatrix(figure)
    expect(svg.match(/fill="#808080"/g)).toHaveLength(2)
    expect(svg).toContain('a &lt;b&gt; &amp; &quot;c&quot;')
    expect(svg).toContain('&lt;/w&gt;')
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    for (const [, x = '', y = ''] of svg.matchAll(/translate\(([\d.-]+) ([\d.-]+)\)/g)) {
      expect(Math.abs(Number(x))).toBeLessThan(width)
      expect(Math.abs(Number(y))).toBeLessThan(height)
    }
  })

  it('survives labels that XML cannot hold', () => {
    const { svg } = drawMatrix({ ...figure, rowLabels: ['a\u0000b\u001b', '\ud800'] })
    expect(svg).not.toMatch(/[\u0000\u001b]|[\ud800-\udbff](?![\udc00-\udfff])/) // oxlint-disable-line no-control-regex
  })

  it('needs no fonts with letters of its own', () => {
    const { svg } = drawMatrix(figure, { text: 'paths' })
    expect(svg).not.toContain('<text')
    expect(pixelTextWidth('ab')).toBe(11)
    // Every printable ASCII character has a shape of its own.
    const shapes = Array.from({ length: 94 }, (_, at) => pixelText(String.fromCharCode(33 + at)))
    expect(new Set(shapes).size).toBe(94)
    expect(shapes).not.toContain(pixelText('漢'))
  })

  it('ticks at round numbers', () => {
    expect(niceTicks({ low: 0, high: 1 }).map(tick => tick.text)).toEqual([
      '0.00',
      '0.25',
      '0.50',
      '0.75',
      '1.00',
    ])
    expect(niceTicks({ low: 0, high: 0.163 }).map(tick => tick.text)).toEqual([
      '0.00',
      '0.05',
      '0.10',
      '0.15',
    ])
    expect(niceTicks({ low: 0.2, high: 0.2 })).toHaveLength(1)
    for (const { at } of niceTicks({ low: 3e-7, high: 9.1e-6 })) expect(at).toBeLessThanOrEqual(1.0001)
  })

  it('refuses labels that do not fit the data', () => {
    expect(() => drawMatrix({ ...figure, columns: 4 })).toThrow('cannot show')
  })
})
