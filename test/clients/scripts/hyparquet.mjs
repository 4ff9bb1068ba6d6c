import { asyncBufferFromUrl, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { createXetFetch } from 'xetkit/fetch';

// What a user of hyparquet writes: some rows of some columns of a large table.
export default async function readRows({ url, client, token, columns, rowStart, rowEnd }) {
  const requestInit = token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } };
  const file = await asyncBufferFromUrl({ url, requestInit, fetch: createXetFetch({ client }) });
  const metadata = await parquetMetadataAsync(file);
  const rows = await parquetReadObjects({ file, metadata, columns, rowStart, rowEnd });
  return { size: file.byteLength, count: Number(metadata.num_rows), rows };
}
