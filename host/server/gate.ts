/** The page before the window: it trades the token of the address for a cookie, and opens the window. */

export const gatePage = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="dark light" />
    <title>Attune</title>
    <link rel="icon" href="data:," />
    <script src="/gate.js" defer></script>
  </head>
  <body>
    <p id="state" role="status"></p>
    <noscript><p>Attune’s window needs JavaScript.</p></noscript>
  </body>
</html>
`

export const gateScript = `const token = new URLSearchParams(location.hash.slice(1)).get('token')
const say = text => (document.getElementById('state').textContent = text)
// Not left in the address bar, nor in the history.
history.replaceState(undefined, '', '/')
const enter = async () => {
  if (!token) return say('Open the address that "attune serve" (or npm start) has printed: it ends in a token.')
  const answer = await fetch('/session', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-attune': '1' },
    body: JSON.stringify({ token }),
  })
  if (answer.ok) location.replace('/')
  else say('This address is no longer valid. Open the one that Attune printed when it was last started.')
}
enter().catch(() => say('Attune does not answer. Start it again.'))
`
