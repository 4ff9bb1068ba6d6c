/** A worker of a page, as libraries use them: it fetches what it is told and says how much came. */
addEventListener('message', async ({ data }) => {
  const response = await fetch(String(data));
  postMessage((await response.arrayBuffer()).byteLength);
});
