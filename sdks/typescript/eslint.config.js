import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["build", "dist", "src/wire", "eslint.config.js"] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { project: "./tsconfig.json" } },
    rules: {
      // They know nothing of errors that are passed on as they came.
      "@typescript-eslint/prefer-promise-reject-errors": "off",
      "@typescript-eslint/no-floating-promises": [
        "error",
        { allowForKnownSafeCalls: [{ from: "package", name: "test", package: "node:test" }] },
      ],
      "max-lines": ["error", 600],
      "max-lines-per-function": ["error", 70],
    },
  },
  // A file of tests is one function to the rule.
  { files: ["test/**"], rules: { "max-lines-per-function": "off" } },
);
