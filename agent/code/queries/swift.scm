(class_declaration name: [(type_identifier) (user_type)] @name) @class
(protocol_declaration name: (type_identifier) @name) @protocol
(typealias_declaration . name: (type_identifier) @name) @type
(function_declaration . name: (simple_identifier) @name) @function
(function_declaration (modifiers) . name: (simple_identifier) @name) @function
(protocol_function_declaration name: (simple_identifier) @name) @function
(init_declaration "init" @name) @constructor
(enum_entry name: (simple_identifier) @name) @variant
(source_file (property_declaration name: (pattern bound_identifier: (simple_identifier) @name)) @property)
(class_body (property_declaration name: (pattern bound_identifier: (simple_identifier) @name)) @property)
;; uses
[(simple_identifier) (type_identifier)] @use
