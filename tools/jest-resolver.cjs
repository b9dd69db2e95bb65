// Sources import each other by the `.js` name they will have (`./ids.js`); on disk they are `.ts`.
module.exports = (request, options) => {
  const ours =
    request.startsWith('.') && request.endsWith('.js') && !options.basedir.includes('node_modules');
  return options.defaultResolver(ours ? request.replace(/\.js$/, '.ts') : request, options);
};
