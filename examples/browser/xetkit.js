// The one place that says where the package is. In a project of yours this is `export * from 'xetkit'` and 'xetkit/formats',
// with a bundler or an import map; here it is the checkout's own build.
export * from '../../dist/formats.js';
export * from '../../dist/index.js';
