/** A privileged scheme: a standard, secure origin that is fetched. */
const { inPage, same } = require('./harness.cjs')

module.exports = async window => {
  const page = code => inPage(window, code)
  await window.loadURL('suite://page/index.html')
  same('scheme: a secure context', await page('isSecureContext'), true)
  same('scheme: an origin of its own', await page('typeof location.origin === "string" && location.origin !== "null"'), true)
  same('scheme: paths of addresses', await page('location.pathname'), '/index.html')
  same('scheme: relative fetch', await page('fetch("data.json").then(answer => answer.json())'), { a: 1 })
  same('scheme: status and headers', await page('fetch("data.json").then(answer => [answer.status, answer.headers.get("x-suite"), answer.headers.get("content-type")])'), [200, 'yes', 'application/json'])
  same('scheme: bytes', await page('fetch("bytes").then(answer => answer.arrayBuffer()).then(bytes => [...new Uint8Array(bytes)])'), [0, 1, 254, 255])
  same('scheme: not found', await page('fetch("nowhere").then(answer => [answer.ok, answer.status])'), [false, 404])
  same('scheme: localStorage', await page('(localStorage.setItem("a", "1"), localStorage.getItem("a"))'), '1')
  await window.loadURL('suite://page/strict.html')
  same('scheme: a policy in the header holds', await page('[window.inline, window.own].map(each => each === 1)'), [false, true])
  same('scheme: the bridge is there on every page', await page('suite.number'), 7)
  same('scheme: query and fragment', (await window.loadURL('suite://page/index.html?a=1#b'), await page('location.search + location.hash')), '?a=1#b')
  same('scheme: the whole address', window.webContents.getURL(), 'suite://page/index.html?a=1#b')
  await window.loadURL('suite://page/index.html')
}
