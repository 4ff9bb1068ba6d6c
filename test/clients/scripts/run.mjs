// Runs one of the scripts beside it and prints what comes of it. Nothing ends the process but having no more to do.
const [name, given] = process.argv.slice(2);
const { default: work } = await import(`./${name}.mjs`);
console.log(JSON.stringify(await work(JSON.parse(given))));
