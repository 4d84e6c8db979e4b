(class_declaration name: (identifier) @name) @class
(object_declaration name: (identifier) @name) @object
(enum_entry (identifier) @name) @variant
(function_declaration name: (identifier) @name) @function
(type_alias type: (identifier) @name) @type
(source_file (property_declaration (variable_declaration (identifier) @name)) @property)
(class_body (property_declaration (variable_declaration (identifier) @name)) @property)
;; uses
(identifier) @use
