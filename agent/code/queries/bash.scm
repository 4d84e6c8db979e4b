(function_definition name: (word) @name) @function
(program (variable_assignment name: (variable_name) @name) @variable)
(program (declaration_command (variable_assignment name: (variable_name) @name)) @variable)
;; uses
(command_name (word) @use)
(command argument: (word) @use)
(variable_name) @use
