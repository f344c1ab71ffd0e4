"""The mapping language: one SQL scalar expression per target field, evaluated by columns (R10–R14). Pure."""
