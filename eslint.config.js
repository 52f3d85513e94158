import tseslint from 'typescript-eslint';

/*
 * Lint: what a daemon must not get wrong (lost promises, half-decided unions), and our style, as rules that name
 * their cure. Layers are dependency-cruiser's business (.dependency-cruiser.mjs), formatting is prettier's.
 */

const CLOCK_CURE = 'Time only through Clock (src/base/clock.ts): take a `clock: Clock` argument and call';

/** Selectors banned everywhere in src. */
const SHAPES = [
  {
    selector: 'ExportDefaultDeclaration',
    message: 'No default exports: export the thing by its name, so that it is called the same everywhere.',
  },
  {
    selector: 'TSInterfaceDeclaration[id.name=/^I[A-Z][a-z]/]',
    message: 'No `I` prefix: name the interface by its noun and the implementation by what sets it apart.',
  },
  {
    selector: 'ExportAllDeclaration[exported=null]',
    message: 'No `export *`: a door lists what it lets out. Export the names.',
  },
];

/** Selectors banned in src outside base/clock.ts. */
const TIME = [
  {
    selector: "CallExpression[callee.object.name='Date'][callee.property.name='now']",
    message: `${CLOCK_CURE} clock.now() or clock.monotonicMs().`,
  },
  {
    selector: "NewExpression[callee.name='Date'][arguments.length=0]",
    message: `${CLOCK_CURE} clock.now(); formatTimestamp() prints it.`,
  },
  {
    selector: "CallExpression[callee.name='setTimeout']",
    message: `${CLOCK_CURE} clock.after() or clock.sleep().`,
  },
  {
    selector: "CallExpression[callee.name='setInterval']",
    message: `${CLOCK_CURE} clock.after() again from its own callback.`,
  },
  {
    selector: "CallExpression[callee.object.name='performance'][callee.property.name='now']",
    message: `${CLOCK_CURE} clock.monotonicMs().`,
  },
  {
    selector: "CallExpression[callee.object.name='AbortSignal'][callee.property.name='timeout']",
    message: `${CLOCK_CURE} clock.after() with an AbortController.`,
  },
  {
    selector: 'ImportDeclaration[source.value=/^(node:)?timers/]',
    message: `${CLOCK_CURE} clock.after() or clock.sleep() instead of node:timers.`,
  },
];

export default tseslint.config(
  { ignores: ['node_modules/', 'coverage/', 'dist/', 'test/unit/architecture/offences/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: ['error', 'always'],
      'no-var': 'error',
      'prefer-const': 'error',
      'object-shorthand': 'error',
      'no-throw-literal': 'off',
      '@typescript-eslint/no-floating-promises': ['error', { ignoreVoid: true }],
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-misused-spread': ['error', { allow: [{ from: 'lib', name: 'string' }, 'string'] }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // `Promise.withResolvers<void>()` and `<T = void>` are ordinary here, and the rule knows neither.
      '@typescript-eslint/no-invalid-void-type': 'off',
      // A type argument given once can be what brands a value (`brand<T>(text)`) or types a row.
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // An async method of a seam may have nothing to wait for in one implementation.
      '@typescript-eslint/require-await': 'off',
      // A kernel constant may be 0; a no-op callback is a statement.
      '@typescript-eslint/no-empty-function': 'off',
      // `type` for unions and records, `interface` for what is implemented: the author's choice.
      '@typescript-eslint/consistent-type-definitions': 'off',
      // exactOptionalPropertyTypes and index signatures make some comparisons look needless that are not.
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'max-lines': ['error', { max: 400 }],
      'max-lines-per-function': ['error', { max: 70, skipComments: true, skipBlankLines: true }],
      'no-console': 'error',
      'no-restricted-syntax': ['error', ...SHAPES, ...TIME],
      'no-restricted-globals': [
        'error',
        { name: 'setImmediate', message: 'Await the thing itself, or use queueMicrotask().' },
      ],
    },
  },
  {
    files: ['src/base/clock.ts'],
    rules: { 'no-restricted-syntax': ['error', ...SHAPES] },
  },
  {
    files: ['src/cli/**/*.ts', 'src/service/main.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // Tests reach into half-typed JSON and fakes; the compiler still checks them.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/explicit-module-boundary-types': 'off',
      'no-restricted-syntax': [
        'error',
        {
          selector: "CallExpression[callee.property.name='only'][callee.object.name=/^(it|test|describe)$/]",
          message: 'A focused test hides the others: remove `.only`.',
        },
        {
          selector: "CallExpression[callee.property.name='todo'][callee.object.name=/^(it|test|describe)$/]",
          message: 'Write the test or leave it out: no `.todo`.',
        },
        {
          selector: 'AwaitExpression > CallExpression[callee.name=/^(sleep|delay|setTimeout)$/]',
          message: 'No test sleeps a fixed time: wait for the thing (vi.waitFor, expect.poll, an event).',
        },
      ],
    },
  },
);
