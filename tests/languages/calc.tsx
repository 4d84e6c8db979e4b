export const Button = (props: Props) => {
  return <Label text={props.text} />;
};
interface Props { text: string }
