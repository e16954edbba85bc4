// Values that are made once.

/**
 * Return a function that makes a value for an object once, and keeps it for as long as that object lives: a slider that
 * brings new detections leaves the arrays, and what was made of them.
 *
 * @template {object} K
 * @template V
 * @param {(key: K) => V} make
 * @returns {(key: K) => V}
 */
export function remembered(make) {
  const known = new WeakMap();
  return (key) => {
    let value = known.get(key);
    if (value === undefined) known.set(key, (value = make(key)));
    return value;
  };
}
