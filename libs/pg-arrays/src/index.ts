export {
  boolArray,
  byteaArray,
  float8Array,
  int2Array,
  int4Array,
  int8Array,
  textArray,
  type ArrayParameter,
} from './pg-arrays.js';
